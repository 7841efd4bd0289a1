#include "oracle/optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kd::oracle {
namespace {

// The gradient that the optimiser sees: unscaled, clipped, with what is added to it.
double seen(const OptimizerState& old, const OptimizerStep& step, const Optimizer& o, int64_t i) {
  double g = step.gradient.at(i) / step.loss_scale;
  if (o.max_gradient_norm > 0) {
    const double norm = std::sqrt(step.squares.value()) / step.loss_scale;
    g *= std::min(1.0, o.max_gradient_norm / norm);
  }
  if (i >= o.decay_elements) return g;
  const double w = old.w.at(i);
  if (o.kind != "adamw" && o.kind != "lamb") g += o.weight_decay * w;
  g += o.l1 * static_cast<double>((w > 0) - (w < 0));
  if (o.l2_start > 0) g += o.l2_start * (w - step.start.at(i));
  return g;
}

// Element i's step before the learning rate; its moments are taken on.
double direction(OptimizerState& state, const OptimizerStep& step, const Optimizer& o, int64_t i) {
  const double g = seen(state, step, o, i);
  if (o.kind == "sgd") {
    double& v = state.first.at(i);
    v = o.momentum * v + g;
    return o.nesterov ? g + o.momentum * v : v;
  }
  double& s = state.second.at(i);
  if (o.kind == "adagrad") {
    s += g * g;
    return g / (std::sqrt(s) + o.epsilon);
  }
  if (o.kind == "rmsprop") {
    s = o.alpha * s + (1 - o.alpha) * g * g;
    return g / (std::sqrt(s) + o.epsilon);
  }
  double& m = state.first.at(i);
  m = o.beta1 * m + (1 - o.beta1) * g;
  s = o.beta2 * s + (1 - o.beta2) * g * g;
  const double mean = m / (1 - std::pow(o.beta1, step.update));
  const double square = s / (1 - std::pow(o.beta2, step.update));
  const bool decoupled = o.kind != "adam" && i < o.decay_elements;
  return mean / (std::sqrt(square) + o.epsilon) +
         (decoupled ? o.weight_decay * state.w.at(i) : 0.0);
}

}  // namespace

std::vector<double> lamb_norms(const OptimizerState& old, const OptimizerStep& step,
                               const Optimizer& options) {
  OptimizerState scratch = old;
  std::vector<double> norms;
  for (size_t s = 0; s + 1 < step.segments.size(); ++s) {
    double of_weights = 0, of_steps = 0;
    for (int64_t i = step.segments[s]; i < step.segments[s + 1]; ++i) {
      of_weights += old.w.at(i) * old.w.at(i);
      of_steps += std::pow(direction(scratch, step, options, i), 2);
    }
    norms.insert(norms.end(), {of_weights, of_steps});
  }
  return norms;
}

OptimizerState update(const OptimizerState& old, const OptimizerStep& step,
                      const Optimizer& options) {
  if (step.squares && !std::isfinite(*step.squares)) return old;
  const std::vector<double> norms = lamb_norms(old, step, options);
  OptimizerState made = old;
  for (int64_t i = 0; i < old.w.size(); ++i) {
    double lr = step.lr * (step.lr_scale.size() == 0 ? 1 : step.lr_scale.at(i));
    for (size_t s = 0; s + 1 < step.segments.size(); ++s) {
      if (i < step.segments[s] || i >= step.segments[s + 1]) continue;
      const double of_weights = norms[2 * s], of_steps = norms[2 * s + 1];
      if (of_weights > 0 && of_steps > 0) lr *= std::sqrt(of_weights / of_steps);
    }
    made.w.at(i) -= lr * direction(made, step, options, i);
  }
  return made;
}

Array joined(const Array& low, const Array& high) {
  Array all{{low.size() + high.size()}, low.data};
  all.data.insert(all.data.end(), high.data.begin(), high.data.end());
  return all;
}

double sum_of_squares(const Array& gradient) {
  double sum = 0;
  for (const double g : gradient.data) sum += g * g;
  const bool fits = sum <= static_cast<double>(std::numeric_limits<float>::max());
  return fits || std::isnan(sum) ? sum : std::numeric_limits<double>::infinity();
}

Array max_norm(const Array& w, int64_t columns, double limit) {
  Array made = w;
  for (int64_t row = 0; row < w.size() / columns; ++row) {
    double squares = 0;
    for (int64_t i = 0; i < columns; ++i) squares += std::pow(w.at(row * columns + i), 2);
    if (std::sqrt(squares) <= limit) continue;
    for (int64_t i = 0; i < columns; ++i) made.at(row * columns + i) *= limit / std::sqrt(squares);
  }
  return made;
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
