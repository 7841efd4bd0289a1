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

}  // namespace kd::oracle
