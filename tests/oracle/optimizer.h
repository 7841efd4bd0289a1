// Optimiser updates.
#pragma once

#include <optional>
#include <string>

#include "oracle/array.h"

namespace kd::oracle {

struct Optimizer {
  std::string kind;  // sgd, adagrad, rmsprop, adam, adamw, lamb
  double momentum = 0;
  bool nesterov = false;
  double alpha = 0, beta1 = 0, beta2 = 0, epsilon = 0;
  double weight_decay = 0, l1 = 0, l2_start = 0;
  int64_t decay_elements = 0;  // only the first so many elements are regularised
  double max_gradient_norm = 0;
};

// What a step is given; arrays of the arena's size.
struct OptimizerStep {
  Array gradient;
  double lr = 0, loss_scale = 1;
  double update = 1;              // from 1, for bias correction
  std::optional<double> squares;  // of the gradient as it comes; nothing changes if not finite
  Array start, lr_scale;          // may be empty
  std::vector<int64_t> segments;  // lamb
};
struct OptimizerState {
  Array w, first, second;  // moments may be empty where the kind has none
};
OptimizerState update(const OptimizerState& old, const OptimizerStep& step,
                      const Optimizer& options);

// lamb: squared norms of each tensor's weights (2 s) and of its step before lr (2 s + 1).
std::vector<double> lamb_norms(const OptimizerState& old, const OptimizerStep& step,
                               const Optimizer& options);

Array joined(const Array& low, const Array& high);

// Infinite beyond f32.
double sum_of_squares(const Array& gradient);

// Rows of `columns` elements, scaled to length `limit` where they are longer.
Array max_norm(const Array& w, int64_t columns, double limit);

struct LossScale {
  double growth, backoff, interval, least, most;
};
struct LossScaleState {
  Array scale, counters;  // counters: good steps in a row, steps skipped
};
LossScaleState loss_scale(const LossScaleState& old, double squares, const LossScale& options);

}  // namespace kd::oracle
