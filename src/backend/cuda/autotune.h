// Choosing among cuDNN's candidates by the clock. Needs a GPU that nothing else uses meanwhile.
#pragma once

#include <span>

#include "backend/cuda/cudnn_plan.h"

namespace kd::cuda {

// The fastest of `plans` on tensors of its own. Which one wins may differ from time to time, and
// with it the last bits of results; the plan cache keeps the choice. Falls back to plans[0], which
// cuDNN prefers, where memory is short. The handle's stream changes.
PlanPtr fastest(std::span<const PlanPtr> plans, const Pattern& pattern, cudnnHandle_t handle);

}  // namespace kd::cuda
