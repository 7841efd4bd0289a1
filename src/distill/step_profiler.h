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
};

// --profile of a run: lets some steps warm up, profiles those after them, then writes trace.json
// and profile.txt into `folder` and says the longest lines.
class RunProfile {
 public:
  RunProfile(std::filesystem::path folder, std::function<void(const std::string&)> say)
      : folder_(std::move(folder)), say_(std::move(say)) {}

  static constexpr int64_t kWarmUp = 3, kSteps = 10;
  bool written() const { return written_; }
  void feed(TrainingStep& step, Backend& backend, const Batch& batch, Span loaded);
  void end_of_stage();  // the step ends here: writes what there is

 private:
  void write();

  std::filesystem::path folder_;
  std::function<void(const std::string&)> say_;
  std::optional<StepProfiler> profiler_;
  int64_t fed_ = 0;
  bool written_ = false;
};

}  // namespace kd
