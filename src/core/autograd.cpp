// Reverse mode: walks the nodes backwards and lets each op emit its gradient into the same graph.
#include <algorithm>

#include "kd/error.h"
#include "kd/graph.h"
#include "kd/ops.h"

namespace kd {
namespace {

// Which values lie between `wrt` and the seeds: they depend on a w.
std::vector<char> depends_on(const Graph& graph, std::span<const Value> wrt) {
  std::vector<char> depends(static_cast<size_t>(graph.value_count()), 0);
  for (const Value w : wrt) depends[static_cast<size_t>(w.id)] = 1;
  for (const Node& node : graph.nodes()) {
    const bool any = std::ranges::any_of(
        node.inputs, [&](Value v) { return depends[static_cast<size_t>(v.id)] != 0; });
    if (!any) continue;
    for (const Value output : node.outputs) depends[static_cast<size_t>(output.id)] = 1;
  }
  return depends;
}

bool any_gradient(const Grads& grads, const Node& node) {
  return std::ranges::any_of(node.outputs, [&](Value v) { return bool(grads.of(v)); });
}

bool any_needed(const Grads& grads, const Node& node) {
  return std::ranges::any_of(node.inputs, [&](Value v) { return grads.needs(v); });
}

// Moves nodes without outputs among the first `forward` to the end where they update a leaf that a
// later node, a gradient, reads.
void postpone_updates(Graph& graph, size_t forward) {
  std::vector<char> read(static_cast<size_t>(graph.value_count()), 0);
  const std::vector<Node>& nodes = graph.nodes();
  for (size_t i = forward; i < nodes.size(); ++i) {
    for (const Value v : nodes[i].inputs) read[static_cast<size_t>(v.id)] = 1;
  }
  const auto early = [&](const Node& node) {
    if (!node.outputs.empty()) return false;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const bool updated = (node.op->updates >> i & 1u) != 0;
      if (updated && read[static_cast<size_t>(node.inputs[i].id)] != 0) return true;
    }
    return false;
  };
  if (std::none_of(nodes.begin(), nodes.end(), early)) return;
  std::vector<Node> ordered = nodes;
  std::stable_partition(ordered.begin(), ordered.end(),
                        [&](const Node& node) { return !early(node); });
  graph.set_nodes(std::move(ordered));
}

}  // namespace

std::vector<char> ancestors(const Graph& graph, std::span<const Value> ends) {
  std::vector<char> leads(static_cast<size_t>(graph.value_count()), 0);
  for (const Value end : ends) leads[static_cast<size_t>(end.id)] = 1;
  for (auto node = graph.nodes().rbegin(); node != graph.nodes().rend(); ++node) {
    const bool any = std::ranges::any_of(
        node->outputs, [&](Value v) { return leads[static_cast<size_t>(v.id)] != 0; });
    if (!any) continue;
    for (const Value input : node->inputs) leads[static_cast<size_t>(input.id)] = 1;
  }
  return leads;
}

Grads::Grads(Graph& graph, std::vector<char> needed)
    : graph_(graph), needed_(std::move(needed)), sums_(needed_.size()) {}

bool Grads::needs(Value v) const {
  const auto index = static_cast<size_t>(v.id);
  return v && index < needed_.size() && needed_[index] != 0;
}

Value Grads::of(Value v) const {
  const auto index = static_cast<size_t>(v.id);
  return v && index < sums_.size() ? sums_[index] : Value{};
}

void Grads::add(Value v, Value gradient) {
  if (!needs(v)) return;
  KD_CHECK(graph_.desc(v) == graph_.desc(gradient), "the gradient of a value {} is {}",
           graph_.desc(v).str(), graph_.desc(gradient).str());
  Value& sum = sums_[static_cast<size_t>(v.id)];
  sum = sum ? kd::add(graph_, sum, gradient) : gradient;
}

std::vector<Value> differentiate(Graph& graph, std::span<const Seed> seeds,
                                 std::span<const Value> wrt) {
  Grads grads(graph, depends_on(graph, wrt));
  for (const Seed& seed : seeds) grads.add(seed.value, seed.gradient);
  const size_t forward = graph.nodes().size();
  for (int index = static_cast<int>(graph.nodes().size()) - 1; index >= 0; --index) {
    const Node node = graph.nodes()[static_cast<size_t>(index)];  // copied: vjp appends nodes
    if (!any_gradient(grads, node) || !any_needed(grads, node)) continue;
    KD_CHECK(node.op->vjp != nullptr, "{} '{}' is not differentiable", node.op->name, node.name);
    node.op->vjp(graph, node, grads);
  }
  std::vector<Value> gradients;
  for (const Value w : wrt) {
    KD_CHECK(bool(grads.of(w)), "nothing of the objective depends on '{}'", graph.info(w).name);
    gradients.push_back(grads.of(w));
  }
  postpone_updates(graph, forward);
  return gradients;
}

}  // namespace kd
