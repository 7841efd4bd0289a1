#include "report/run_record.h"

#include <algorithm>
#include <fstream>

#include "core/file.h"
#include "distill/run_folder.h"
#include "report/scorecard_json.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

std::optional<double> known(StrictObject& object, const std::string& key) {
  if (!object.has(key) || object.raw(key).is_null()) return std::nullopt;
  const auto value = object.required<double>(key);
  return value < 0 ? std::nullopt : std::optional(value);
}

// Every number of every line; a line is an epoch. Other values (null: not finite) are left out.
std::vector<Curve> read_curves(const fs::path& path) {
  std::vector<Curve> curves;
  std::ifstream file(path);
  double line_number = 0;
  for (std::string line; std::getline(file, line);) {
    ++line_number;
    const Json json = parse_json(line, path.string());
    KD_CHECK(json.is_object(), "{}: line {} is no object", path.string(), line_number);
    for (const auto& [key, value] : json.items()) {
      if (!value.is_number()) continue;
      auto at = std::ranges::find(curves, key, &Curve::name);
      if (at == curves.end()) at = curves.insert(curves.end(), Curve{key, {}});
      at->points.emplace_back(line_number, value.get<double>());
    }
  }
  return curves;
}

Scorecard read_scorecard(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return scorecard_from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                             path.string());
}

Json object_at(StrictObject& object, const std::string& key) {
  return object.has(key) && object.raw(key).is_object() ? object.raw(key) : Json::object();
}

// What makes runs comparable as repetitions: all settings that can change a result but the seed.
std::string configuration_key(const RunRecord& run) {
  Json config = comparable_settings(run.config.dump());
  config.erase("seed");
  return dump(config, -1);
}

std::vector<fs::path> runs_in(const fs::path& folder) {
  if (fs::exists(folder / "run.json")) return {folder};
  std::vector<fs::path> found;
  for (int i = 0; fs::exists(folder / ("seed_" + std::to_string(i)) / "run.json"); ++i)
    found.push_back(folder / ("seed_" + std::to_string(i)));
  KD_CHECK(!found.empty(), "{}: holds no run: neither run.json nor seed_0/run.json",
           folder.string());
  return found;
}

// Names lose the parent folders that all of them share.
void shorten_names(std::vector<RunGroup>& groups) {
  const fs::path parent = fs::path(groups.front().name).parent_path();
  std::ptrdiff_t shared = std::distance(parent.begin(), parent.end());
  for (const RunGroup& group : groups) {
    const fs::path other = fs::path(group.name).parent_path();
    std::ptrdiff_t same = 0;
    for (auto a = parent.begin(), b = other.begin();
         a != parent.end() && b != other.end() && *a == *b; ++a, ++b)
      ++same;
    shared = std::min(shared, same);
  }
  for (RunGroup& group : groups) {
    const fs::path whole = group.name;
    fs::path rest;
    for (auto part = std::next(whole.begin(), shared); part != whole.end(); ++part) rest /= *part;
    group.name = rest.string();
  }
}

// A folder's name also when it is given as "runs/kl/".
std::string name_of(const std::string& folder) {
  const fs::path path = fs::path(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).string();
}

}  // namespace

int64_t RunRecord::seed() const {
  const auto at = config.find("seed");
  return at != config.end() && at->is_number_integer() ? at->get<int64_t>() : 0;
}

bool RunRecord::taught() const {
  if (teacher()) return true;
  const auto at = config.find("teacher");
  if (at == config.end() || at->is_null() || (at->is_array() && at->empty())) return false;
  return !(at->is_string() && at->get<std::string>().empty());
}

std::optional<double> RunRecord::top1() const {
  return scorecard ? scorecard->student.top1 : best_top1;
}

std::optional<double> RunRecord::teacher() const {
  return scorecard && scorecard->teacher ? scorecard->teacher->top1 : teacher_top1;
}

std::optional<double> RunRecord::baseline_top1() const {
  if (!baseline.empty()) return baseline.front().top1();
  if (scorecard && scorecard->baseline) return scorecard->baseline->top1;
  return std::nullopt;
}

const Curve* RunRecord::curve(std::string_view name) const {
  const auto at = std::ranges::find(curves, name, &Curve::name);
  return at == curves.end() ? nullptr : &*at;
}

RunRecord read_run(const fs::path& folder) {
  const std::string file = (folder / "run.json").string();
  const Json json = read_json(file);
  StrictObject object(json, file);
  RunRecord run;
  run.path = folder.lexically_normal().string();
  run.config = object_at(object, "config");
  run.versions = object_at(object, "versions");
  run.hashes = object_at(object, "hashes");
  run.finished = object.optional("finished", false);
  run.best_top1 = known(object, "best_top1");
  run.teacher_top1 = known(object, "teacher_top1");
  run.images_per_second = known(object, "images_per_second");
  run.parameters = known(object, "parameters");
  if (object.has("failure") && !object.raw("failure").is_null())
    run.failure = failure_from_json(object.raw("failure"), file);
  run.curves = read_curves(folder / "metrics.jsonl");
  if (const fs::path card = folder / "scorecard.json"; fs::exists(card))
    run.scorecard = read_scorecard(card);
  if (fs::exists(folder / "baseline" / "run.json"))
    run.baseline.push_back(read_run(folder / "baseline"));
  return run;
}

std::vector<RunGroup> read_runs(const std::vector<std::string>& folders) {
  std::vector<RunGroup> groups;
  std::vector<std::string> keys;
  for (const std::string& folder : folders) {
    for (const fs::path& path : runs_in(folder)) {
      RunRecord run = read_run(path);
      const std::string key = configuration_key(run);
      const auto seen = [&](const RunRecord& other) { return other.seed() == run.seed(); };
      size_t at = 0;
      while (at < groups.size() && (keys[at] != key || std::ranges::any_of(groups[at].runs, seen)))
        ++at;
      if (at == groups.size()) {
        groups.push_back({name_of(folder), {}});
        keys.push_back(key);
      }
      groups[at].runs.push_back(std::move(run));
    }
  }
  if (!groups.empty()) shorten_names(groups);
  return groups;
}

}  // namespace kd
