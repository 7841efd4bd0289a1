// What every engine does with the attributes and inputs of optimizer_update and lamb_norms.
#pragma once

#include <cmath>

#include "kd/backend.h"
#include "kd/optimizer_ops.h"
#include "kernels/optimizer_rule.h"

namespace kd {

static_assert(static_cast<int>(OptimizerKind::sgd) == static_cast<int>(kernels::Optimizer::sgd));
static_assert(static_cast<int>(OptimizerKind::lamb) == static_cast<int>(kernels::Optimizer::lamb));

inline kernels::OptimizerRule rule_of(const OptimizerAttrs& attrs) {
  const auto narrow = [](double value) { return static_cast<float>(value); };
  const double keep2 = attrs.kind == OptimizerKind::rmsprop ? attrs.alpha : attrs.beta2;
  kernels::OptimizerRule rule;
  rule.kind = static_cast<kernels::Optimizer>(attrs.kind);
  rule.nesterov = attrs.nesterov;
  rule.momentum = narrow(attrs.momentum);
  rule.keep1 = narrow(attrs.beta1);
  rule.take1 = narrow(1 - attrs.beta1);
  rule.keep2 = narrow(keep2);
  rule.take2 = narrow(1 - keep2);
  rule.log_keep1 = narrow(std::log(attrs.beta1));  // -inf for 0, as it should be
  rule.log_keep2 = narrow(std::log(keep2));
  rule.epsilon = narrow(attrs.epsilon);
  rule.decay = narrow(attrs.weight_decay);
  rule.l1 = narrow(attrs.l1);
  rule.l2_start = narrow(attrs.l2_start);
  rule.decay_elements = attrs.decay_elements;
  rule.max_norm = narrow(attrs.max_gradient_norm);
  return rule;
}

// The pointers of one run, by name; nullptr for an input that is not there.
struct OptimizerPointers {
  const Pointers& p;
  const OptimizerAttrs& attrs;

  template <class T = float>
  T* at(OptimizerInput input) const {
    return has_input(attrs, input) ? static_cast<T*>(p.inputs[place_of(input)]) : nullptr;
  }
};

// The sizes and types of an arena.
struct OptimizerShape {
  int64_t count = 0, lows = 0, copied = 0, segments = 0;  // lows: 16-bit gradients
  DType low = DType::f32, copies = DType::f32;

  explicit OptimizerShape(const PrepareRequest& request) {
    const auto& attrs = request.node.attr<OptimizerAttrs>();
    const auto desc = [&](OptimizerInput input) -> const TensorDesc& {
      return request.graph.desc(request.node.inputs.at(place_of(input)));
    };
    count = desc(OptimizerInput::weights).shape.elements();
    if (has_input(attrs, OptimizerInput::low_gradient)) {
      lows = desc(OptimizerInput::low_gradient).shape.elements();
      low = desc(OptimizerInput::low_gradient).dtype;
    }
    if (has_input(attrs, OptimizerInput::low_weights)) {
      copied = desc(OptimizerInput::low_weights).shape.elements();
      copies = desc(OptimizerInput::low_weights).dtype;
    }
    if (has_input(attrs, OptimizerInput::segments)) {
      segments = desc(OptimizerInput::segments).shape.elements() - 1;
    }
  }
};

}  // namespace kd
