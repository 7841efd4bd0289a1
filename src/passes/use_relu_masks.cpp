#include "kd/passes.h"
#include "ops/table.h"

namespace kd {
namespace {

// The batch_norm_relu_train whose y a batch_norm_relu_backward reads, or -1.
int forward_of(const Graph& graph, const Node& backward) {
  const Value y = backward.inputs[1];
  const int at = graph.producer(y);
  if (at < 0) return -1;
  const Node& node = graph.nodes()[static_cast<size_t>(at)];
  return node.op == &op_batch_norm_relu_train && node.outputs[0] == y ? at : -1;
}

// The mask that `forward` makes; it becomes the masked op if it is not yet.
Value mask_of(Graph& graph, Node& forward) {
  if (forward.op == &op_batch_norm_relu_train) {
    const int64_t elements = graph.shape(forward.outputs[0]).elements();
    forward.op = &op_batch_norm_relu_mask_train;
    forward.outputs.push_back(graph.new_activation({DType::u8, {(elements + 7) / 8}}));
  }
  return forward.outputs[3];
}

}  // namespace

void use_relu_masks(Graph& graph) {
  std::vector<Node> nodes = graph.nodes();
  for (Node& node : nodes) {
    if (node.op != &op_batch_norm_relu_backward) continue;
    const int forward = forward_of(graph, node);
    if (forward < 0) continue;
    node.op = &op_batch_norm_relu_mask_backward;
    node.inputs[1] = mask_of(graph, nodes[static_cast<size_t>(forward)]);
  }
  graph.set_nodes(std::move(nodes));
}

}  // namespace kd
