// What changes from step to step, known beforehand: the learning rate, the terms' weights, the
// teachers' shares, which modules are replaced. A table of a row for each step, kept on the device.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kd/config.h"

namespace kd {

// Columns of a row, in this order: the learning rate; a factor for each slot of the fused loss; the
// factor of each graph term; the weight of each teacher in use; whether each module is replaced.
class StepSchedule {
 public:
  // Learning rates only: other factors are 1, teachers weigh alike.
  explicit StepSchedule(std::vector<float> rates);
  // Of a stage.
  StepSchedule(const RunConfig& stage, int64_t steps_per_epoch);

  int64_t steps() const { return static_cast<int64_t>(rates_.size()); }
  // f32 (steps, columns), row by row, for an objective of `graph_terms` and `teachers`; `modules`
  // may be replaced.
  std::vector<float> table(int64_t graph_terms, int64_t teachers, int64_t modules = 0) const;

  static constexpr int64_t kRate = 0, kSlots = 1, kGraphTerms = kSlots + kLossTerms;
  static int64_t columns(int64_t graph_terms, int64_t teachers, int64_t modules = 0) {
    return kGraphTerms + graph_terms + teachers + modules;
  }

 private:
  void put_modules(int64_t step, std::span<float> row) const;

  std::vector<float> rates_;
  RunConfig stage_;
  int64_t steps_per_epoch_ = 1;
};

}  // namespace kd
