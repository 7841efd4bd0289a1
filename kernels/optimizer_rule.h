// The optimisers' arithmetic for one element, shared by every engine; kd/optimizer_ops.h has the
// formulas. Scalars of a step (what loss scale, clipping and bias correction come to) are worked
// out once a thread. NaN and infinite gradients pass: who calls looks at their squares first.
#pragma once

#include <cmath>

#include "kernels/types.h"

namespace kd::kernels {

enum class Optimizer : uint8_t { sgd, adagrad, rmsprop, adam, adamw, lamb };  // kd::OptimizerKind

struct OptimizerRule {
  Optimizer kind = Optimizer::sgd;
  bool nesterov = false;
  float momentum = 0;                    // sgd
  float keep1 = 0, take1 = 1;            // beta1 and 1 - beta1
  float keep2 = 0, take2 = 1;            // beta2 (rmsprop: alpha) and 1 - it
  float log_keep1 = -1, log_keep2 = -1;  // their logarithms
  float epsilon = 1e-8f;
  float decay = 0, l1 = 0, l2_start = 0;
  int64_t decay_elements = 0;
  float max_norm = 0;  // 0: no clipping
};

// What a step is told on the device.
struct StepScalars {
  float lr = 0;
  float gradient = 1;     // what gradients are multiplied by
  float first = 1;        // 1 - beta1^t
  float second_root = 1;  // sqrt(1 - beta2^t)
};

// `unscale`: 1 / loss scale; `squares`: of the gradients as they come, used where they are clipped.
KD_HOST_DEVICE inline float gradient_factor(const OptimizerRule& rule, float unscale,
                                            float squares) {
  if (rule.max_norm == 0) return unscale;
  const float norm = std::sqrt(squares) * unscale;
  return norm > rule.max_norm ? unscale * (rule.max_norm / norm) : unscale;
}

// Bias correction of update t, from 1. 1 - beta^t keeps its digits where beta is near 1.
KD_HOST_DEVICE inline void correct_bias(const OptimizerRule& rule, int64_t t, StepScalars& step) {
  const auto updates = static_cast<float>(t);
  step.first = -std::expm1(updates * rule.log_keep1);
  step.second_root = std::sqrt(-std::expm1(updates * rule.log_keep2));
}

struct OptimizerElement {
  float weight = 0, first = 0, second = 0;
};

// The gradient with its regularisers; `start` is read where l2_start is not 0.
template <Optimizer kKind>
KD_HOST_DEVICE float regularised(const OptimizerRule& rule, bool decayed, float gradient, float w,
                                 float start) {
  constexpr bool kDecoupled = kKind == Optimizer::adamw || kKind == Optimizer::lamb;
  float g = gradient;
  if constexpr (!kDecoupled) g += (decayed ? rule.decay : 0.0f) * w;
  if (decayed && rule.l1 != 0) g += w > 0 ? rule.l1 : w < 0 ? -rule.l1 : 0.0f;
  if (decayed && rule.l2_start != 0) g += rule.l2_start * (w - start);
  return g;
}

// Takes the moments on by the regularised gradient g; what lr times it is subtracted from the
// weight.
template <Optimizer kKind>
KD_HOST_DEVICE float direction(const OptimizerRule& rule, const StepScalars& step, bool decayed,
                               float g, OptimizerElement& e) {
  if constexpr (kKind == Optimizer::sgd) {
    e.first = rule.momentum * e.first + g;
    return rule.nesterov ? g + rule.momentum * e.first : e.first;
  } else if constexpr (kKind == Optimizer::adagrad) {
    e.second += g * g;
    return g / (std::sqrt(e.second) + rule.epsilon);
  } else if constexpr (kKind == Optimizer::rmsprop) {
    e.second = rule.keep2 * e.second + rule.take2 * (g * g);
    return g / (std::sqrt(e.second) + rule.epsilon);
  } else {
    e.first = rule.keep1 * e.first + rule.take1 * g;
    e.second = rule.keep2 * e.second + rule.take2 * (g * g);
    const float d = e.first / step.first / (std::sqrt(e.second) / step.second_root + rule.epsilon);
    if constexpr (kKind == Optimizer::adam) return d;
    return d + (decayed ? rule.decay : 0.0f) * e.weight;
  }
}

// By how much LAMB multiplies a tensor's step.
KD_HOST_DEVICE inline float trust_ratio(float weight_squares, float direction_squares) {
  const float w = std::sqrt(weight_squares), d = std::sqrt(direction_squares);
  return w > 0 && d > 0 ? w / d : 1.0f;
}

KD_HOST_DEVICE constexpr bool has_first(Optimizer kind) {
  return kind != Optimizer::adagrad && kind != Optimizer::rmsprop;
}
KD_HOST_DEVICE constexpr bool has_second(Optimizer kind) { return kind != Optimizer::sgd; }

template <Optimizer kKind>
struct OptimizerIs {
  static constexpr Optimizer kind = kKind;
};
// Calls `body(OptimizerIs<kind>{})`.
template <class Body>
void with_optimizer(Optimizer kind, const Body& body) {
  switch (kind) {
    case Optimizer::sgd:
      return body(OptimizerIs<Optimizer::sgd>{});
    case Optimizer::adagrad:
      return body(OptimizerIs<Optimizer::adagrad>{});
    case Optimizer::rmsprop:
      return body(OptimizerIs<Optimizer::rmsprop>{});
    case Optimizer::adam:
      return body(OptimizerIs<Optimizer::adam>{});
    case Optimizer::adamw:
      return body(OptimizerIs<Optimizer::adamw>{});
    case Optimizer::lamb:
      return body(OptimizerIs<Optimizer::lamb>{});
  }
}

}  // namespace kd::kernels
