// What the op families share: checks with names, and costs.
#pragma once

#include "kd/error.h"
#include "ops/table.h"

namespace kd {

inline const TensorDesc& in_desc(const Graph& graph, const Node& node, size_t i) {
  return graph.desc(node.inputs.at(i));
}

// "conv2d 'layer1.0.conv1'", or "conv2d" where the node has no name.
std::string label(const Node& node);

// Checks the number of inputs and the rank and dtype of one.
void expect_inputs(const Node& node, size_t least, size_t most);
void expect_input(const Graph& graph, const Node& node, size_t i, DType dtype, int rank);
void expect_shape(const Graph& graph, const Node& node, size_t i, const Shape& shape);
// The dtype of input i, which must be a float type (f32, f16, bf16); `rank` -1: any.
DType expect_float(const Graph& graph, const Node& node, size_t i, int rank = -1);
void expect_dtype(const Graph& graph, const Node& node, size_t i, DType dtype);

std::vector<TensorDesc> infer_like_first(const Graph& graph, const Node& node);

// Every input read once and every output written once; `flops_per_element` of output 0.
Cost moved(const Graph& graph, const Node& node, double flops_per_element);
Cost copy_cost(const Graph& graph, const Node& node);       // 0 FLOPs an element
Cost pointwise_cost(const Graph& graph, const Node& node);  // 1 FLOP an element

}  // namespace kd
