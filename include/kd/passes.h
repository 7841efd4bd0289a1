// Rewrites of graphs: one rewrite a file in src/passes/.
#pragma once

#include <span>

#include "kd/model.h"

namespace kd {

// conv2d (+ bias) followed by inference batch_norm -> conv2d with a scaled weight + bias, in
// float64.
Model fold_bn(const Model& model);

// conv2d + bias (+ residual) (+ activation) -> conv2d_bias_act, where nothing else, `keep`
// included, uses what lies between. Inference only: the fused op has no gradient.
void fuse_conv_epilogue(Graph& graph, std::span<const Value> keep);

// batch_norm_train (+ residual) + ReLU -> batch_norm_relu_train. Run it before differentiate.
void fuse_bn_relu(Graph& graph, std::span<const Value> keep);

// The graph with weights and activations in f16 or bf16; batch norm's vectors, linear biases and
// the logits stay f32. Run it before every other pass and before differentiate.
Replayed lower_precision(const Graph& graph, Value logits, DType to);

// batch_norm_relu_train + max_pool -> batch_norm_relu_max_pool_train, where nothing else, `keep`
// included, uses what is pooled. After fuse_bn_relu, before differentiate.
void fuse_stem_pool(Graph& graph, std::span<const Value> keep);

// batch_norm_relu_train and the batch_norm_relu_backward that reads its y -> the pair that keeps
// one bit an element instead. Run it after differentiate.
void use_relu_masks(Graph& graph);

}  // namespace kd
