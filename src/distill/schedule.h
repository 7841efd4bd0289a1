// Learning rates: a pure function of the step.
#pragma once

#include "kd/config.h"

namespace kd {

// step: 0 .. total-1. one-cycle is PyTorch's OneCycleLR (cosine, div_factor 25, final_div_factor
// 1e4) without its momentum cycle.
double learning_rate(const RunConfig& config, int64_t step, int64_t steps_per_epoch);

}  // namespace kd
