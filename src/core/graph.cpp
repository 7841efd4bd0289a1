#include "kd/graph.h"

#include <algorithm>
#include <sstream>

#include "kd/error.h"

namespace kd {
namespace {

// Far beyond any memory, and small enough that sums and products of sizes stay exact.
void check_size(const TensorDesc& desc, std::string_view what) {
  constexpr int64_t kMost = int64_t{1} << 40;
  KD_CHECK(desc.shape.elements() <= kMost, "'{}': a tensor {} is too large", what, desc.str());
}

}  // namespace

Value Graph::leaf(Role role, std::string name, TensorDesc desc) {
  KD_CHECK(role != Role::activation, "'{}': a leaf can't be an activation", name);
  KD_CHECK(!name.empty() && !find(name), "the graph has two leaves named '{}'", name);
  check_size(desc, name);
  values_.push_back({desc, role, std::move(name)});
  producers_.push_back(-1);
  return {value_count() - 1};
}

Value Graph::input(std::string name, TensorDesc desc) {
  return leaf(Role::input, std::move(name), desc);
}

Value Graph::parameter(std::string name, TensorDesc desc) {
  return leaf(Role::parameter, std::move(name), desc);
}

Value Graph::state(std::string name, TensorDesc desc) {
  return leaf(Role::state, std::move(name), desc);
}

Value Graph::new_activation(TensorDesc desc) {
  values_.push_back({desc, Role::activation, {}});
  producers_.push_back(-1);
  return {value_count() - 1};
}

std::vector<Value> Graph::add(const OpDef& op, std::vector<Value> inputs, std::any attrs,
                              std::string name) {
  for (const Value input : inputs) {
    KD_CHECK(input.id >= 0 && input.id < value_count(), "{} '{}': input {} is not of this graph",
             op.name, name, input.id);
  }
  Node node{&op, std::move(name), std::move(inputs), {}, std::move(attrs)};
  for (const TensorDesc& desc : op.infer(*this, node)) {
    check_size(desc, op.name);
    node.outputs.push_back(new_activation(desc));
    producers_.back() = static_cast<int>(nodes_.size());
  }
  nodes_.push_back(std::move(node));
  return nodes_.back().outputs;
}

std::vector<Value> Graph::leaves(Role role) const {
  std::vector<Value> found;
  for (int id = 0; id < value_count(); ++id) {
    if (info({id}).role == role) found.push_back({id});
  }
  return found;
}

Value Graph::find(std::string_view name) const {
  const auto at = std::ranges::find_if(values_, [&](const ValueInfo& value) {
    return value.role != Role::activation && value.name == name;
  });
  return at == values_.end() ? Value{} : Value{static_cast<int>(at - values_.begin())};
}

int Graph::producer(Value v) const { return producers_.at(static_cast<size_t>(v.id)); }

void Graph::set_nodes(std::vector<Node> nodes) {
  std::vector<int> producers(values_.size(), -1);
  for (size_t index = 0; index < nodes.size(); ++index) {
    const Node& node = nodes[index];
    for (const Value input : node.inputs) {
      const bool known =
          info(input).role != Role::activation || producers[static_cast<size_t>(input.id)] >= 0;
      if (!known) {
        fail(ErrorCode::internal, "{} '{}' stands before the node that makes its input",
             node.op->name, node.name);
      }
    }
    for (const Value output : node.outputs) {
      producers[static_cast<size_t>(output.id)] = static_cast<int>(index);
    }
  }
  nodes_ = std::move(nodes);
  producers_ = std::move(producers);
}

std::string Graph::dump() const {
  std::ostringstream out;
  const auto describe = [&](Value v) {
    const ValueInfo& value = info(v);
    out << (value.name.empty() ? "v" + std::to_string(v.id) : value.name) << ' '
        << value.desc.str();
  };
  const auto list = [&](const std::vector<Value>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (i) out << ", ";
      describe(values[i]);
    }
  };
  for (const Node& node : nodes_) {
    list(node.outputs);
    out << " = " << node.op->name;
    if (!node.name.empty()) out << " '" << node.name << '\'';
    out << " (";
    list(node.inputs);
    out << ")\n";
  }
  return out.str();
}

Replayed replay(const Graph& graph, const LeafDesc& leaf_desc, const NodeRewrite& rewrite) {
  Replayed result;
  result.values.resize(static_cast<size_t>(graph.value_count()));
  for (int id = 0; id < graph.value_count(); ++id) {
    const ValueInfo& value = graph.info({id});
    if (value.role == Role::activation) continue;
    result.values[static_cast<size_t>(id)] =
        result.graph.leaf(value.role, value.name, leaf_desc ? leaf_desc(value) : value.desc);
  }
  for (const Node& node : graph.nodes()) {
    std::vector<Value> inputs;
    for (const Value input : node.inputs) {
      inputs.push_back(result.values[static_cast<size_t>(input.id)]);
    }
    std::vector<Value> outputs;
    if (rewrite) outputs = rewrite(result.graph, node, inputs);
    if (outputs.empty()) outputs = result.graph.add(*node.op, inputs, node.attrs, node.name);
    for (size_t i = 0; i < node.outputs.size() && i < outputs.size(); ++i) {
      result.values[static_cast<size_t>(node.outputs[i].id)] = outputs[i];
    }
  }
  return result;
}

}  // namespace kd
