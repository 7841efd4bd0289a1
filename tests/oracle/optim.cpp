#include "oracle/optim.h"

namespace kd::oracle {

SgdState sgd(const SgdState& old, const Array& gradient, const Sgd& options) {
  SgdState made = old;
  for (int64_t i = 0; i < old.w.size(); ++i) {
    const double decay = i < options.decay_elements ? options.weight_decay : 0;
    const double g = gradient.at(i) + decay * old.w.at(i);
    const double v = options.momentum * old.velocity.at(i) + g;
    made.velocity.at(i) = v;
    made.w.at(i) -= options.lr * (options.nesterov ? g + options.momentum * v : v);
  }
  return made;
}

}  // namespace kd::oracle
