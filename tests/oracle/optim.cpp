#include "oracle/optim.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

double sum_of_squares(const Array& low_gradient, const Array& high_gradient) {
  double sum = 0;
  for (const double g : low_gradient.data) sum += g * g;
  for (const double g : high_gradient.data) sum += g * g;
  const bool fits = sum <= static_cast<double>(std::numeric_limits<float>::max());
  return fits || std::isnan(sum) ? sum : std::numeric_limits<double>::infinity();
}

SgdState sgd_mixed(const SgdState& old, const Array& low_gradient, const Array& high_gradient,
                   double loss_scale, const Sgd& options) {
  if (!std::isfinite(sum_of_squares(low_gradient, high_gradient))) return old;
  Array gradient = low_gradient;
  gradient.data.insert(gradient.data.end(), high_gradient.data.begin(), high_gradient.data.end());
  for (double& g : gradient.data) g /= loss_scale;
  return sgd(old, gradient, options);
}

LossScaleState loss_scale(const LossScaleState& old, double squares, const LossScale& options) {
  LossScaleState made = old;
  if (!std::isfinite(squares)) {
    made.scale.at(0) = std::max(options.least, old.scale.at(0) * options.backoff);
    made.counters.at(0) = 0;
    made.counters.at(1) += 1;
  } else {
    made.counters.at(0) += 1;
    if (made.counters.at(0) >= options.interval) {
      made.scale.at(0) = std::min(options.most, old.scale.at(0) * options.growth);
      made.counters.at(0) = 0;
    }
  }
  return made;
}

}  // namespace kd::oracle
