#include "ops/common.h"

namespace kd {

std::string label(const Node& node) {
  const std::string op(node.op->name);
  return node.name.empty() ? op : op + " '" + node.name + "'";
}

void expect_inputs(const Node& node, size_t least, size_t most) {
  const size_t count = node.inputs.size();
  KD_CHECK(count >= least && count <= most, "{}: {} inputs, expected {} to {}", label(node), count,
           least, most);
}

void expect_input(const Graph& graph, const Node& node, size_t i, DType dtype, int rank) {
  const TensorDesc& desc = in_desc(graph, node, i);
  KD_CHECK(desc.dtype == dtype && desc.shape.rank() == rank,
           "{}: input {} is {}, expected {} of rank {}", label(node), i, desc.str(), name_of(dtype),
           rank);
}

void expect_shape(const Graph& graph, const Node& node, size_t i, const Shape& shape) {
  const TensorDesc& desc = in_desc(graph, node, i);
  KD_CHECK(desc.shape == shape, "{}: input {} is {}, expected {}", label(node), i, desc.str(),
           shape);
}

DType expect_float(const Graph& graph, const Node& node, size_t i, int rank) {
  const TensorDesc& desc = in_desc(graph, node, i);
  KD_CHECK(is_float(desc.dtype) && (rank < 0 || desc.shape.rank() == rank),
           "{}: input {} is {}, expected floats{}", label(node), i, desc.str(),
           rank < 0 ? std::string() : " of rank " + std::to_string(rank));
  return desc.dtype;
}

void expect_dtype(const Graph& graph, const Node& node, size_t i, DType dtype) {
  const TensorDesc& desc = in_desc(graph, node, i);
  KD_CHECK(desc.dtype == dtype, "{}: input {} is {}, expected {}", label(node), i, desc.str(),
           name_of(dtype));
}

std::vector<TensorDesc> infer_like_first(const Graph& graph, const Node& node) {
  return {in_desc(graph, node, 0)};
}

Cost moved(const Graph& graph, const Node& node, double flops_per_element) {
  Cost cost;
  for (const Value v : node.inputs) cost.bytes += static_cast<double>(graph.desc(v).bytes());
  for (const Value v : node.outputs) cost.bytes += static_cast<double>(graph.desc(v).bytes());
  if (!node.outputs.empty()) {
    cost.flops = flops_per_element * static_cast<double>(graph.shape(node.outputs[0]).elements());
  }
  return cost;
}

Cost copy_cost(const Graph& graph, const Node& node) { return moved(graph, node, 0); }
Cost pointwise_cost(const Graph& graph, const Node& node) { return moved(graph, node, 1); }

}  // namespace kd
