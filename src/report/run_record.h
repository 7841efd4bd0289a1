// What a run's folder tells, and runs of one configuration that differ by their seed.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "kd/report.h"

namespace kd {

struct Curve {
  std::string name;                               // a key of metrics.jsonl
  std::vector<std::pair<double, double>> points;  // line of the file from 1, value
};

struct RunRecord {
  std::string path;
  Json config = Json::object(), versions = Json::object(), hashes = Json::object();
  bool finished = false;
  std::optional<double> best_top1, teacher_top1, images_per_second, parameters;
  std::optional<Failure> failure;
  std::vector<Curve> curves;
  std::optional<Scorecard> scorecard;
  std::vector<RunRecord> baseline;  // none or one: the same student, seed and recipe, no teacher

  int64_t seed() const;
  bool taught() const;  // has a teacher
  // Of the scorecard; without one, the best of the epochs.
  std::optional<double> top1() const;
  std::optional<double> teacher() const;
  std::optional<double> baseline_top1() const;
  const Curve* curve(std::string_view name) const;
};

struct RunGroup {
  std::string name;
  std::vector<RunRecord> runs;  // at least one; each of another seed
};

RunRecord read_run(const std::filesystem::path& folder);
// Each folder is a run or holds runs as seed_0, seed_1, ...; throws Error naming one that is
// neither. Groups come in the order of their first runs, named after their folders.
std::vector<RunGroup> read_runs(const std::vector<std::string>& folders);

}  // namespace kd
