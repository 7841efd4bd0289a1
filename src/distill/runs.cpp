// train(): the runs that a configuration asks for, each in a folder of its own.
#include "distill/runs.h"

#include <algorithm>

#include "core/json.h"

namespace kd {
namespace {

void without_teacher(StageConfig& stage) {
  TermSpec ce{"ce"};
  for (const TermSpec& spec : stage.terms) {
    if (spec.name == "ce") ce.params = spec.params;
  }
  const auto smoothing = ce.params.find("label_smoothing");
  if (smoothing == ce.params.end()) ce.params["label_smoothing"] = stage.label_smoothing;
  stage.loss.clear();
  stage.terms = {ce};
  stage.use_teachers.clear();
  stage.teacher_weights.clear();
  stage.teacher_join.clear();
  stage.replace_from = stage.replace_to = 0;
}

bool is_finished(const std::filesystem::path& folder) {
  const auto file = folder / "run.json";
  if (!std::filesystem::exists(file)) return false;
  const Json json = read_json(file.string());
  return json.contains("finished") && json["finished"] == true;
}

// Begins a run, goes on with it, or leaves it if it is finished.
RunSummary begin_or_resume(RunConfig config, const Watcher& watcher, const RunConfig& whole) {
  const std::filesystem::path folder = config.output;
  if (whole.resume && is_finished(folder)) {
    if (watcher.note) watcher.note(folder.string() + ": finished before");
    return {};
  }
  config.resume = whole.resume && std::filesystem::exists(folder / "checkpoint");
  return train_once(config, watcher);
}

}  // namespace

RunConfig baseline_of(const RunConfig& config) {
  RunConfig alone = config;
  alone.teacher.clear();
  alone.teacher_cache.clear();
  alone.init_from_teacher = alone.baseline = false;
  alone.output = (std::filesystem::path(config.output) / "baseline").string();
  without_teacher(alone);
  std::erase_if(alone.stages, [](const StageConfig& stage) { return !stage.assistant.empty(); });
  for (StageConfig& stage : alone.stages) without_teacher(stage);
  return alone;
}

RunSummary train(const RunConfig& config, const Watcher& watcher) {
  check_config(config);
  if (!config.baseline && config.seeds == 1) return train_once(config, watcher);
  RunSummary summary;
  for (int64_t i = 0; i < config.seeds && !summary.interrupted; ++i) {
    RunConfig one = config;
    one.seed = config.seed + i;
    one.seeds = 1;
    one.baseline = false;
    if (config.seeds > 1) {
      const std::string own = format("seed_{}", i);
      one.output = (std::filesystem::path(config.output) / own).string();
      if (!config.teacher_cache.empty() && config.teacher_cache != "auto") {
        one.teacher_cache = (std::filesystem::path(config.teacher_cache) / own).string();
      }
    }
    const auto say = [&](std::string_view what) {
      if (watcher.note) watcher.note(format("seed {}: {}", one.seed, what));
    };
    if (config.baseline) {  // first, so that the scorecard can tell what was gained
      say("the baseline, without a teacher");
      summary = begin_or_resume(baseline_of(one), watcher, config);
      if (summary.interrupted) break;
      say("with the teacher");
    }
    summary = begin_or_resume(one, watcher, config);
  }
  return summary;
}

}  // namespace kd
