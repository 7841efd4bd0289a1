// One bit an element: what a ReLU let through.
#include "ops/common.h"
#include "ops/norm.h"

namespace kd {

TensorDesc mask_desc(const Shape& y) { return {DType::u8, {(y.elements() + 7) / 8}}; }

void expect_mask(const Graph& graph, const Node& node, size_t i, const Shape& y) {
  const TensorDesc& mask = in_desc(graph, node, i);
  KD_CHECK(mask == mask_desc(y), "{}: input {} is {}, expected {}, the bit mask of {}", label(node),
           i, mask.str(), mask_desc(y).str(), y);
}

namespace {

std::vector<TensorDesc> infer_sign(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  expect_float(graph, node, 0);
  return {mask_desc(in_desc(graph, node, 0).shape)};
}

std::vector<TensorDesc> infer_apply(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  expect_float(graph, node, 0);
  expect_mask(graph, node, 1, in_desc(graph, node, 0).shape);
  return {in_desc(graph, node, 0)};
}

void vjp_apply(Graph& graph, const Node& node, Grads& grads) {
  grads.add(node.inputs[0],
            apply_mask(graph, grads.of(node.outputs[0]), node.inputs[1], node.name));
}

}  // namespace

const OpDef op_sign_mask{"sign_mask", OpKind::base, infer_sign, nullptr, nullptr, copy_cost};
const OpDef op_apply_mask{"apply_mask", OpKind::base, infer_apply,       vjp_apply,
                          nullptr,      copy_cost,    Alias::in_place(0)};

Value sign_mask(Graph& graph, Value y, std::string name) {
  return graph.add(op_sign_mask, {y}, NoAttrs{}, std::move(name))[0];
}
Value apply_mask(Graph& graph, Value x, Value mask, std::string name) {
  return graph.add(op_apply_mask, {x, mask}, NoAttrs{}, std::move(name))[0];
}

}  // namespace kd
