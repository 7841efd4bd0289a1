// The folder of a run: what is written when, each file whole or not at all.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <optional>

#include "core/json.h"
#include "distill/step_programs.h"
#include "kd/tensor.h"
#include "kd/trainer.h"

namespace kd {

// The settings of config_to_json(), less those that may differ between a run and its continuation:
// none of them changes a result.
Json comparable_settings(const std::string& config_json);
// Throws Error{usage} naming the first setting in which `now` differs from what `name` began with.
void check_same_settings(const Json& before, const Json& now, const std::string& name);

// Where a run stands; with the tensors, all that resuming needs.
struct Position {
  int64_t epoch = 0, step = 0;  // epoch of the run in progress, and steps of it that are done
  double loss_sum = 0, correct = 0, seconds = 0;  // of the epoch in progress
  std::array<double, StepPrograms::kMostTerms> term_sums{};
  double best_top1 = -1, teacher_top1 = -1;
  int64_t best_epoch = 0, skipped = 0;  // skipped: steps whose 16-bit gradients overflowed
};

class RunFolder {
 public:
  // Creates the folder and checks that it can be written; refuses one that holds a run, unless
  // resuming.
  RunFolder(std::filesystem::path path, bool resume);
  static bool holds_run(const std::filesystem::path& path);

  std::filesystem::path file(const std::string& name) const { return path_ / name; }
  void save_checkpoint(const Position& position, const std::map<std::string, Tensor>& tensors,
                       const std::string& config) const;
  // Refuses a checkpoint of another configuration.
  struct Checkpoint {
    Position position;
    std::map<std::string, Tensor> tensors;
  };
  Checkpoint load_checkpoint(const std::string& config) const;

  // Appends an epoch to metrics.jsonl; epochs from `position` on are dropped when resuming.
  void append_metrics(const EpochReport& report);
  void rewind_metrics(int64_t epoch);

 private:
  std::filesystem::path path_;
  std::vector<std::string> metrics_;
};

}  // namespace kd
