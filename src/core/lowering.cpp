#include "core/lowering.h"

#include <algorithm>

#include "kd/error.h"

namespace kd {
namespace {

void rename(std::vector<Value>& values, Value from, Value to) {
  std::ranges::replace(values, from, to);
}

// The nodes of one expansion, with the fused node's own output ids.
std::vector<Node> expansion(Graph& graph, const Node& fused) {
  const size_t before = graph.nodes().size();
  const std::vector<Value> made = fused.op->expand(graph, fused);
  std::vector<Node> nodes(graph.nodes().begin() + static_cast<ptrdiff_t>(before),
                          graph.nodes().end());
  for (size_t i = 0; i < fused.outputs.size(); ++i) {
    for (Node& node : nodes) {
      rename(node.inputs, made[i], fused.outputs[i]);
      rename(node.outputs, made[i], fused.outputs[i]);
    }
  }
  return nodes;
}

}  // namespace

void expand_unsupported(Graph& graph, const std::function<bool(const Node&)>& supported) {
  for (bool changed = true; changed;) {  // an expansion may hold fused ops itself
    changed = false;
    const std::vector<Node> old = graph.nodes();
    std::vector<Node> nodes;
    for (const Node& node : old) {
      if (node.op->expand == nullptr || supported(node)) {
        nodes.push_back(node);
        continue;
      }
      for (Node& part : expansion(graph, node)) nodes.push_back(std::move(part));
      changed = true;
    }
    if (changed) graph.set_nodes(std::move(nodes));
  }
}

void drop_dead_nodes(Graph& graph, std::span<const Value> wanted) {
  std::vector<char> live(static_cast<size_t>(graph.value_count()), 0);
  const auto is_live = [&](Value v) -> char& { return live[static_cast<size_t>(v.id)]; };
  for (const Value v : wanted) is_live(v) = 1;
  std::vector<Node> kept;
  for (auto node = graph.nodes().rbegin(); node != graph.nodes().rend(); ++node) {
    const bool needed = node->op->updates != 0 || std::ranges::any_of(node->outputs, is_live);
    if (!needed) continue;
    for (const Value input : node->inputs) is_live(input) = 1;
    kept.push_back(*node);
  }
  std::ranges::reverse(kept);
  graph.set_nodes(std::move(kept));
}

}  // namespace kd
