// What cuDNN is asked to compute, as a value: no cuDNN header here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kd/conv_chain.h"
#include "kd/graph.h"

namespace kd::cuda {

// The last four are the batch-norm chain around convolutions:
//   conv_stats            y = conv(x, w), and the sums of y and y^2 over N, H, W
//   scale_relu_conv_stats ... of max(x scale + bias, 0), never stored
//   scale_relu_wgrad      wgrad of max(x scale + bias, 0), never stored
//   dgrad_relu_norm       dz = dgrad(dy, w) where gamma (x - mean) inv_std + beta > 0, else 0, and
//                         dgamma, dbeta of that batch norm
enum class PatternKind : uint8_t {
  conv,
  dgrad,
  wgrad,
  conv_bias_act,
  conv_stats,
  scale_relu_conv_stats,
  scale_relu_wgrad,
  dgrad_relu_norm
};

struct Pattern {
  PatternKind kind = PatternKind::conv;
  DType dtype = DType::f32;  // of activations and weights; accumulation is in float
  Conv2dAttrs conv;
  Shape x, w, y;  // of the forward convolution: NHWC, KRSC, NHWC
  bool residual = false;
  Activation activation = Activation::none;
  bool allow_tf32 = false;

  // In cuDNN's order: inputs, then outputs. They are the node's for the first five kinds; then
  //   scale_relu_conv_stats x, scale, bias (both of dtype), w -> y, sum, sum of squares
  //   scale_relu_wgrad      x, scale, bias (both of dtype), dy -> dw
  //   dgrad_relu_norm       dy, w, x, mean, inv_std, gamma, beta -> dz, dgamma, dbeta, and three
  //                         vectors that nobody needs; all vectors f32
  std::vector<TensorDesc> tensors() const;
  // One text for each different pattern, "conv_bias_act f16 x=32,56,56,64 ... relu".
  std::string key() const;
};

// The pattern of a node; none if it is no convolution, or has an activation or a type that cuDNN
// lacks.
std::optional<Pattern> pattern_of(const Graph& graph, const Node& node, bool allow_tf32 = false);

}  // namespace kd::cuda
