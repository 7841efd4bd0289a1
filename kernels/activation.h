// Activations and their gradients: y = f(x), dx = dy f'. The gradient reads f' off a saved value:
// the output for relu, relu6, sigmoid, hard_sigmoid; the input for silu and hard_swish.
//   relu          max(x, 0)                     dy where y > 0
//   relu6         min(max(x, 0), 6)             dy where 0 < y < 6
//   silu          x s, s = sigmoid(x)           dy (s + x s (1 - s))
//   sigmoid       1 / (1 + e^-x)                dy y (1 - y)
//   hard_sigmoid  min(max(x/6 + 1/2, 0), 1)     dy / 6 where 0 < y < 1
//   hard_swish    x hard_sigmoid(x)             0 for x <= -3, dy for x >= 3, else dy (x/3 + 1/2)
// Bytes: x and y; dy, saved and dx. The result may be where x (dy) is. Threads: map.cuh. A NaN in x
// stays NaN; a NaN in `saved` passes no gradient where the rule is a comparison.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

// The values are kd::Activation's.
enum class ActivationKind : uint8_t { none, relu, relu6, silu, sigmoid, hard_swish, hard_sigmoid };

struct ActivationArgs {
  Type type = Type::f32;
  ActivationKind kind = ActivationKind::none;
  const void* in = nullptr;     // x, or dy
  const void* saved = nullptr;  // of the gradient only
  void* out = nullptr;          // y, or dx
  int64_t count = 0;
};
void activation(StreamRef stream, const ActivationArgs& args);
void activation_backward(StreamRef stream, const ActivationArgs& args);

}  // namespace kd::kernels
