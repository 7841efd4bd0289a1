// Makes profiles: of steps that are run for it (kdbench nodes), or of some steps of a run
// (--profile), which compute what they would have computed without it.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "distill/profile.h"
#include "distill/training_step.h"

namespace kd {

class StepProfiler {
 public:
  // Measures the machine's roof, for a student of `dtype`.
  StepProfiler(TrainingStep& step, Backend& backend, DType dtype);

  // A step, its nodes one at a time. `loaded`: the wait for its batch; its time counts only if
  // given.
  void run(const Batch& batch, std::optional<Span> loaded = std::nullopt);
  const Profile& profile() const { return profile_; }

 private:
  void add_part(const std::string& name, const std::vector<PlannedNode>& plan, size_t begin,
                size_t end);
  size_t forward_nodes(const std::vector<PlannedNode>& plan) const;

  TrainingStep& step_;
  Profile profile_;
  std::vector<size_t> node_counts_{1, 1};  // of the loader, the copy, each of step_.parts()
};

// --profile of a run: lets some steps warm up, profiles those after them, then writes trace.json
// and profile.txt into `folder` and says the longest lines.
class RunProfile {
 public:
  // `note` may be empty.
  RunProfile(std::filesystem::path folder, std::function<void(const std::string&)> note)
      : folder_(std::move(folder)), note_(std::move(note)) {}

  static constexpr int64_t kWarmUp = 3, kSteps = 10;
  // Instead of step.feed(). `waited`: for batches so far, in seconds; the last wait has just ended.
  void feed(TrainingStep& step, Backend& backend, const Batch& batch, double waited);
  void end_of_stage();      // the step ends here: writes what there is
  void end_of_run() const;  // says so if nothing was timed

 private:
  void write();
  void say(const std::string& line) const {
    if (note_) note_(line);
  }

  std::filesystem::path folder_;
  std::function<void(const std::string&)> note_;
  std::optional<StepProfiler> profiler_;
  int64_t fed_ = 0;
  double waited_ = 0;
  bool written_ = false;
};

}  // namespace kd
