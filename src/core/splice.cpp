#include <algorithm>

#include "kd/graph.h"

namespace kd {
namespace {

class Copy {
 public:
  Copy(Graph& to, const Graph& from, const Splice& how)
      : to_(to), from_(from), how_(how), now_(static_cast<size_t>(from.value_count())) {
    for (const auto& [there, here] : how.known) at(there) = here;
  }
  Value& at(Value v) { return now_[static_cast<size_t>(v.id)]; }

  // Which values must be copied: what leads to the ends, up to what is known.
  std::vector<char> needed(std::span<const Value> ends) {
    std::vector<char> needed(now_.size(), 0);
    const auto ask = [&](Value v) {
      if (!at(v)) needed[static_cast<size_t>(v.id)] = 1;
    };
    std::ranges::for_each(ends, ask);
    for (auto node = from_.nodes().rbegin(); node != from_.nodes().rend(); ++node) {
      const bool any = std::ranges::any_of(
          node->outputs, [&](Value v) { return needed[static_cast<size_t>(v.id)] != 0; });
      if (any) std::ranges::for_each(node->inputs, ask);
    }
    return needed;
  }

  void leaf(Value v) {
    const ValueInfo& value = from_.info(v);
    at(v) = how_.leaf ? how_.leaf(to_, value) : to_.leaf(value.role, value.name, value.desc);
  }

  void node(const Node& node) {
    std::vector<Value> inputs, outputs;
    for (const Value input : node.inputs) inputs.push_back(at(input));
    if (how_.rewrite) outputs = how_.rewrite(to_, node, inputs);
    if (outputs.empty()) outputs = to_.add(*node.op, inputs, node.attrs, node.name);
    for (size_t i = 0; i < node.outputs.size() && i < outputs.size(); ++i) {
      if (!at(node.outputs[i])) at(node.outputs[i]) = outputs[i];
    }
  }

 private:
  Graph& to_;
  const Graph& from_;
  const Splice& how_;
  std::vector<Value> now_;
};

}  // namespace

std::vector<Value> splice(Graph& to, const Graph& from, std::span<const Value> ends,
                          const Splice& how) {
  Copy copy(to, from, how);
  const std::vector<char> needed = copy.needed(ends);
  const auto is_needed = [&](Value v) { return needed[static_cast<size_t>(v.id)] != 0; };
  for (int id = 0; id < from.value_count(); ++id) {
    if (is_needed({id}) && from.info({id}).role != Role::activation) copy.leaf({id});
  }
  for (const Node& node : from.nodes()) {
    if (std::ranges::any_of(node.outputs, is_needed)) copy.node(node);
  }
  std::vector<Value> made;
  for (const Value end : ends) made.push_back(copy.at(end));
  return made;
}

}  // namespace kd
