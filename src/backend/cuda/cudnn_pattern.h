// What cuDNN is asked to compute, as a value: no cuDNN header here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kd/graph.h"
#include "kd/ops.h"

namespace kd::cuda {

enum class PatternKind : uint8_t { conv, dgrad, wgrad, conv_bias_act };

struct Pattern {
  PatternKind kind = PatternKind::conv;
  DType dtype = DType::f32;  // of all tensors; accumulation is in float
  Conv2dAttrs conv;
  Shape x, w, y;  // of the forward convolution: NHWC, KRSC, NHWC
  bool residual = false;
  Activation activation = Activation::none;
  bool allow_tf32 = false;

  std::vector<TensorDesc> tensors() const;  // the node's inputs, then its outputs
  // One text for each different pattern, "conv_bias_act f16 x=32,56,56,64 ... relu".
  std::string key() const;
};

// The pattern of a node; none if it is no convolution, or has an activation that cuDNN lacks.
std::optional<Pattern> pattern_of(const Graph& graph, const Node& node, bool allow_tf32 = false);

}  // namespace kd::cuda
