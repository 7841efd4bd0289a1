#include "kd/passes.h"
#include "ops/table.h"
#include "passes/uses.h"

namespace kd {
namespace {

// The max_pool that alone uses this node's y, if the node is a batch norm + ReLU without residual;
// else -1.
int pool_after(const Graph& graph, const Uses& uses, const Node& node) {
  if (node.op != &op_batch_norm_relu_train || node.inputs.size() != 5) return -1;
  const int at = uses.only(node.outputs[0]);
  return at >= 0 && graph.nodes()[static_cast<size_t>(at)].op == &op_max_pool ? at : -1;
}

}  // namespace

void fuse_stem_pool(Graph& graph, std::span<const Value> keep) {
  const Uses uses(graph, keep);
  std::vector<Node> nodes = graph.nodes();
  std::vector<char> dropped(nodes.size(), 0);
  for (Node& node : nodes) {
    const int at = pool_after(graph, uses, node);
    if (at < 0) continue;
    const Node& pool = graph.nodes()[static_cast<size_t>(at)];
    node.op = &op_batch_norm_relu_max_pool_train;
    node.attrs = BatchNormPoolAttrs{node.attr<BatchNormAttrs>(), pool.attr<PoolAttrs>()};
    node.outputs = {pool.outputs[0], node.outputs[1], node.outputs[2], pool.outputs[1]};
    dropped[static_cast<size_t>(at)] = 1;
  }
  std::vector<Node> kept;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!dropped[i]) kept.push_back(std::move(nodes[i]));
  }
  graph.set_nodes(std::move(kept));
}

}  // namespace kd
