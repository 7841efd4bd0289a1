// Activation functions and their gradients.
#include <array>

#include "core/names.h"
#include "ops/common.h"

namespace kd {
namespace {

constexpr std::array<std::string_view, 7> kNames{"none",    "relu",       "relu6",       "silu",
                                                 "sigmoid", "hard_swish", "hard_sigmoid"};

std::vector<TensorDesc> infer_activation(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  expect_float(graph, node, 0);
  return {in_desc(graph, node, 0)};
}

std::vector<TensorDesc> infer_backward(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  expect_shape(graph, node, 1, in_desc(graph, node, 0).shape);
  expect_dtype(graph, node, 1, expect_float(graph, node, 0));
  return {in_desc(graph, node, 0)};
}

void vjp_activation(Graph& graph, const Node& node, Grads& grads) {
  const auto attrs = node.attr<ActivationAttrs>();
  const Value saved =
      activation_gradient_needs_input(attrs.kind) ? node.inputs[0] : node.outputs[0];
  grads.add(node.inputs[0], graph.add(op_activation_backward, {grads.of(node.outputs[0]), saved},
                                      attrs, node.name)[0]);
}

}  // namespace

std::string_view name_of(Activation kind) { return kNames[static_cast<size_t>(kind)]; }

Activation activation_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Activation>(i);
  }
  fail(ErrorCode::input, "unknown activation '{}'{}", name,
       suggestion(name, {kNames.begin(), kNames.end()}));
}

bool activation_gradient_needs_input(Activation kind) {
  return kind == Activation::silu || kind == Activation::hard_swish;
}

const OpDef op_activation{"activation", OpKind::base,   infer_activation,  vjp_activation,
                          nullptr,      pointwise_cost, Alias::in_place(0)};
const OpDef op_activation_backward{
    "activation_backward", OpKind::base,      infer_backward, nullptr, nullptr,
    pointwise_cost,        Alias::in_place(0)};

Value activation(Graph& graph, Value x, Activation kind, std::string name) {
  return graph.add(op_activation, {x}, ActivationAttrs{kind}, std::move(name))[0];
}
Value relu(Graph& graph, Value x, std::string name) {
  return activation(graph, x, Activation::relu, std::move(name));
}

}  // namespace kd
