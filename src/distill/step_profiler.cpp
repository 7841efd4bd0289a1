#include "distill/step_profiler.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "core/file.h"
#include "core/stop_watch.h"
#include "kd/error.h"

namespace kd {
namespace {

constexpr size_t kShownLayers = 25;

}  // namespace

StepProfiler::StepProfiler(TrainingStep& step, Backend& backend, DType dtype) : step_(step) {
  profile_.roof = measure_roofline(backend, dtype);
  profile_.parts = {{"loader", {{"", "wait for a batch", "", {}}}},
                    {"copy", {{"", "copy and place pictures", "", {}}}}};
  for (const TrainingStep::Part& part : step_.parts()) {
    const std::vector<PlannedNode> plan = part.program->plan();
    node_counts_.push_back(plan.size());
    if (part.program != &step_.program()) {
      add_part(part.name, plan, 0, plan.size());
      continue;
    }
    const size_t forward = forward_nodes(plan);
    add_part("forward", plan, 0, forward);
    add_part("backward", plan, forward, plan.size());
  }
}

void StepProfiler::add_part(const std::string& name, const std::vector<PlannedNode>& plan,
                            size_t begin, size_t end) {
  if (profile_.parts.back().name != name) profile_.parts.push_back({name, {}});
  ProfiledPart& part = profile_.parts.back();
  for (size_t i = begin; i < end; ++i) {
    part.nodes.push_back({plan[i].name, plan[i].op, plan[i].detail, plan[i].cost});
  }
}

// The gradient's nodes come after those that make the terms.
size_t StepProfiler::forward_nodes(const std::vector<PlannedNode>& plan) const {
  const StepGraph& graph = step_.programs().graph();
  std::vector<Value> ends = graph.graph_terms;
  for (const Value v : {graph.row_terms, graph.correct}) {
    if (v) ends.push_back(v);
  }
  size_t count = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    const bool last = std::ranges::any_of(
        plan[i].outputs, [&](Value v) { return std::ranges::find(ends, v) != ends.end(); });
    if (last) count = i + 1;
  }
  return count;
}

void StepProfiler::run(const Batch& batch, std::optional<Span> loaded) {
  const TrainingStep::Profiled times = step_.profile(batch);
  const Span none{times.copied.begin, times.copied.begin};
  std::vector<std::vector<Span>> all{{loaded.value_or(none)}, {times.copied}};
  all.insert(all.end(), times.nodes.begin(), times.nodes.end());
  std::vector<ProfiledNode*> nodes;
  for (ProfiledPart& part : profile_.parts) {
    for (ProfiledNode& node : part.nodes) nodes.push_back(&node);
  }
  size_t next = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t j = 0; j < all[i].size(); ++j) nodes.at(next + j)->spans.push_back(all[i][j]);
    next += node_counts_[i];
  }
}

void RunProfile::feed(TrainingStep& step, Backend& backend, const Batch& batch, double waited) {
  const double now = steady_seconds();
  const Span loaded{now - (waited - std::exchange(waited_, waited)), now};
  if (written_ || fed_++ < kWarmUp) return step.feed(batch);
  if (!profiler_) {
    say(format("profile: measures the machine, then times {} steps node by node", kSteps));
    step.flush();
    profiler_.emplace(step, backend, step.programs().images().desc().dtype);
  }
  profiler_->run(batch, loaded);
  if (fed_ == kWarmUp + kSteps) write();
}

void RunProfile::end_of_stage() {
  if (!written_ && profiler_) write();
  profiler_.reset();
  fed_ = 0, waited_ = 0;
}

void RunProfile::end_of_run() const {
  if (!written_) say(format("profile: no stage had more than {} steps, none was timed", kWarmUp));
}

void RunProfile::write() {
  const Profile& profile = profiler_->profile();
  write_file(folder_ / "trace.json", chrome_trace(profile));
  write_file(folder_ / "profile.txt", profile_table(profile));
  std::istringstream table(profile_table(profile, kShownLayers));
  for (std::string line; std::getline(table, line);) say(line);
  say(format("all layers: {}; a trace for chrome://tracing or ui.perfetto.dev: {}",
             (folder_ / "profile.txt").string(), (folder_ / "trace.json").string()));
  written_ = true;
}

}  // namespace kd
