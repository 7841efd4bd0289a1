#include "kd/passes.h"
#include "ops/table.h"
#include "passes/uses.h"

namespace kd {
namespace {

bool is_relu(const Node& node) {
  return node.op == &op_activation && node.attr<ActivationAttrs>().kind == Activation::relu;
}

// The batch norm that makes v and nothing else uses, or -1.
int norm_behind(const Graph& graph, const Uses& uses, Value v) {
  const int at = graph.producer(v);
  if (at < 0 || uses.only(v) < 0) return -1;
  const Node& node = graph.nodes()[static_cast<size_t>(at)];
  return node.op == &op_batch_norm_train && node.outputs[0] == v ? at : -1;
}

// What is fused into one ReLU: the batch norm, the add (or -1), and the other operand of the add.
struct Match {
  int norm = -1, sum = -1;
  Value residual;
};

Match match(const Graph& graph, const Uses& uses, const Node& relu_node) {
  const Value x = relu_node.inputs[0];
  if (const int norm = norm_behind(graph, uses, x); norm >= 0) return {norm, -1, {}};
  const int at = graph.producer(x);
  if (at < 0 || uses.only(x) < 0) return {};
  const Node& sum = graph.nodes()[static_cast<size_t>(at)];
  if (sum.op != &op_add || graph.shape(sum.inputs[0]) != graph.shape(sum.inputs[1])) return {};
  const int left = norm_behind(graph, uses, sum.inputs[0]);
  const int right = norm_behind(graph, uses, sum.inputs[1]);
  if (left < 0 && right < 0) return {};
  // Of two batch norms the later one is fused.
  return left > right ? Match{left, at, sum.inputs[1]} : Match{right, at, sum.inputs[0]};
}

}  // namespace

void fuse_bn_relu(Graph& graph, std::span<const Value> keep) {
  const Uses uses(graph, keep);
  std::vector<Node> nodes = graph.nodes();
  std::vector<char> dropped(nodes.size(), 0);
  for (Node& node : nodes) {
    if (!is_relu(node)) continue;
    const Match found = match(graph, uses, node);
    if (found.norm < 0) continue;
    const Node& norm = graph.nodes()[static_cast<size_t>(found.norm)];
    Node fused = norm;
    fused.op = &op_batch_norm_relu_train;
    if (found.residual) fused.inputs.push_back(found.residual);
    fused.outputs[0] = node.outputs[0];
    dropped[static_cast<size_t>(found.norm)] = 1;
    if (found.sum >= 0) dropped[static_cast<size_t>(found.sum)] = 1;
    node = std::move(fused);
  }
  std::vector<Node> kept;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!dropped[i]) kept.push_back(std::move(nodes[i]));
  }
  graph.set_nodes(std::move(kept));
}

}  // namespace kd
