// Rewrites of graphs: one rewrite a file in src/passes/.
#pragma once

#include <functional>
#include <span>

#include "kd/model.h"

namespace kd {

// conv2d (+ bias) followed by inference batch_norm -> conv2d with a scaled weight + bias, in
// float64. What is in `keep` keeps its value.
Model fold_bn(const Model& model, std::span<const Value> keep = {});

// conv2d + bias (+ residual) (+ activation) -> conv2d_bias_act, where nothing else, `keep`
// included, uses what lies between. Inference only: the fused op has no gradient.
void fuse_conv_epilogue(Graph& graph, std::span<const Value> keep);

// batch_norm_train (+ residual) + ReLU -> batch_norm_relu_train. Run it before differentiate.
void fuse_bn_relu(Graph& graph, std::span<const Value> keep);

// The graph with weights and activations in f16 or bf16 (f32: as it was); batch norm's vectors,
// linear biases and the logits stay f32. Run it before every other pass and before differentiate.
ModelGraph lower_precision(const ModelGraph& model, DType to);

// batch_norm_relu_train + max_pool -> batch_norm_relu_max_pool_train, where nothing else, `keep`
// included, uses what is pooled. After fuse_bn_relu, before differentiate.
void fuse_stem_pool(Graph& graph, std::span<const Value> keep);

// batch_norm_relu_train and the batch_norm_relu_backward that reads its y -> the pair that keeps
// one bit an element instead. Run it after differentiate.
void use_relu_masks(Graph& graph);

// The normalisation, the ReLU and both their gradients into the convolutions around them: run it
// after fuse_bn_relu and differentiate; `keep` are the gradients and all else that is read outside.
//   conv2d, then batch norm     -> conv2d_stats, norm_finalize, scale_bias_relu (with a shortcut's
//                                  batch norm in it)
//   dgrad, then norm's gradient -> conv2d_dgrad_relu_norm, norm_input_grad
//   an activation that only convolutions with statistics and weight gradients read is never stored:
//   scale_bias_relu_conv2d_stats, scale_bias_relu_conv2d_wgrad
// `supported` is asked for each of the four fused convolutions, before it is made; where it says no
// (a device has no such kernel, or none that is faster) the graph stays as it was.
void fuse_conv_norm_chain(Graph& graph, std::span<const Value> keep,
                          const std::function<bool(const Graph&, const Node&)>& supported);

}  // namespace kd
