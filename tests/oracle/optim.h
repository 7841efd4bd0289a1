// Optimiser updates.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

struct Sgd {
  double lr, momentum, weight_decay;
  bool nesterov;
  int64_t decay_elements;  // only the first so many elements are decayed
};
struct SgdState {
  Array w, velocity;
};
SgdState sgd(const SgdState& old, const Array& gradient, const Sgd& options);

// Of both gradients together; infinite beyond f32.
double sum_of_squares(const Array& low_gradient, const Array& high_gradient);
// sgd with (low, high) / loss_scale, or nothing where their squares are not finite.
SgdState sgd_mixed(const SgdState& old, const Array& low_gradient, const Array& high_gradient,
                   double loss_scale, const Sgd& options);

struct LossScale {
  double growth, backoff, interval, least, most;
};
struct LossScaleState {
  Array scale, counters;  // counters: good steps in a row, steps skipped
};
LossScaleState loss_scale(const LossScaleState& old, double squares, const LossScale& options);

}  // namespace kd::oracle
