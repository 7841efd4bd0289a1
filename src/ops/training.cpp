// What stands beside the update of an arena: norms, sums and averages, and what a step counts.
#include "kd/optimizer_ops.h"
#include "ops/common.h"

namespace kd {
namespace {

std::vector<TensorDesc> infer_squares(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 2);
  if (node.inputs.size() == 2) expect_float(graph, node, 0, 1);
  expect_input(graph, node, node.inputs.size() - 1, DType::f32, 1);
  return {{DType::f32, {kGradientPartials}}};
}

std::vector<TensorDesc> infer_accumulate(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  expect_input(graph, node, 0, DType::f32, 1);
  expect_float(graph, node, 1, 1);
  expect_shape(graph, node, 1, in_desc(graph, node, 0).shape);
  return {};
}

std::vector<TensorDesc> infer_ema(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  for (const size_t i : {size_t{0}, size_t{1}}) expect_input(graph, node, i, DType::f32, 1);
  expect_shape(graph, node, 1, in_desc(graph, node, 0).shape);
  const double decay = node.attr<EmaAttrs>().decay;
  KD_CHECK(decay >= 0 && decay <= 1, "{}: decay is {}", label(node), decay);
  return {};
}

std::vector<TensorDesc> infer_max_norm(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 2);
  expect_dtype(graph, node, 0, DType::f32);
  const Shape& w = in_desc(graph, node, 0).shape;
  KD_CHECK(w.rank() >= 2, "{}: '{}' has no rows", label(node), w);
  if (node.inputs.size() == 2) {
    expect_float(graph, node, 1);
    expect_shape(graph, node, 1, w);
  }
  const double limit = node.attr<MaxNormAttrs>().limit;
  KD_CHECK(limit > 0, "{}: limit is {}", label(node), limit);
  return {};
}

std::vector<TensorDesc> infer_loss_scale(const Graph& graph, const Node& node) {
  expect_inputs(node, 3, 3);
  expect_shape(graph, node, 0, {kGradientPartials});
  expect_shape(graph, node, 1, {1});
  expect_input(graph, node, 2, DType::i32, 1);
  expect_shape(graph, node, 2, {2});
  return {};
}

std::vector<TensorDesc> infer_advance(const Graph& graph, const Node& node) {
  expect_inputs(node, 3, 3);
  expect_input(graph, node, 0, DType::i64, 1);
  expect_shape(graph, node, 0, {2});
  expect_input(graph, node, 1, DType::f32, 1);
  expect_input(graph, node, 2, DType::f32, 2);
  KD_CHECK(graph.shape(node.inputs[2])[1] == graph.shape(node.inputs[1])[0],
           "{}: a row of {} for a table of {}", label(node), graph.shape(node.inputs[1]),
           graph.shape(node.inputs[2]));
  return {};
}

// What is read, and input 0 written.
Cost updating_cost(const Graph& graph, const Node& node) {
  Cost cost = moved(graph, node, 0);
  cost.bytes += static_cast<double>(in_desc(graph, node, 0).bytes());
  cost.flops = 2 * static_cast<double>(in_desc(graph, node, 0).shape.elements());
  return cost;
}

}  // namespace

const OpDef op_gradient_squares{"gradient_squares", OpKind::base, infer_squares, nullptr, nullptr,
                                copy_cost};
const OpDef op_gradient_accumulate{
    "gradient_accumulate", OpKind::base,   infer_accumulate, nullptr, nullptr,
    updating_cost,         Alias::never(), 1u << 0};
const OpDef op_ema_update{"ema_update", OpKind::base,  infer_ema,      nullptr,
                          nullptr,      updating_cost, Alias::never(), 1u << 0};
const OpDef op_max_norm{"max_norm", OpKind::base,  infer_max_norm, nullptr,
                        nullptr,    updating_cost, Alias::never(), 1u << 0 | 1u << 1};
const OpDef op_loss_scale_update{
    "loss_scale_update", OpKind::base,   infer_loss_scale, nullptr, nullptr,
    copy_cost,           Alias::never(), 1u << 1 | 1u << 2};
const OpDef op_advance_step{"advance_step", OpKind::base, infer_advance,  nullptr,
                            nullptr,        copy_cost,    Alias::never(), 1u << 0 | 1u << 1};

Value gradient_squares(Graph& graph, Value low_gradient, Value high_gradient) {
  std::vector<Value> gradients{high_gradient};
  if (low_gradient) gradients.insert(gradients.begin(), low_gradient);
  return graph.add(op_gradient_squares, gradients, NoAttrs{})[0];
}
void gradient_accumulate(Graph& graph, Value sum, Value gradient, const AccumulateAttrs& attrs) {
  graph.add(op_gradient_accumulate, {sum, gradient}, attrs);
}
void ema_update(Graph& graph, Value average, Value weights, const EmaAttrs& attrs) {
  graph.add(op_ema_update, {average, weights}, attrs);
}
void max_norm(Graph& graph, Value w, Value low, const MaxNormAttrs& attrs) {
  std::vector<Value> inputs{w};
  if (low) inputs.push_back(low);
  graph.add(op_max_norm, inputs, attrs);
}
void loss_scale_update(Graph& graph, Value squares, Value loss_scale, Value counters,
                       const LossScaleAttrs& attrs) {
  graph.add(op_loss_scale_update, {squares, loss_scale, counters}, attrs);
}
void advance_step(Graph& graph, Value key, Value row, Value table) {
  graph.add(op_advance_step, {key, row, table}, NoAttrs{});
}

}  // namespace kd
