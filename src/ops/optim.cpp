// Optimiser updates over flat arenas.
#include "ops/common.h"

namespace kd {
namespace {

void check_decay(const Node& node, int64_t elements) {
  const int64_t decayed = node.attr<SgdAttrs>().decay_elements;
  KD_CHECK(decayed >= 0 && decayed <= elements, "{}: {} of {} elements are to be decayed",
           label(node), decayed, elements);
}

std::vector<TensorDesc> infer_sgd(const Graph& graph, const Node& node) {
  expect_inputs(node, 4, 4);
  expect_input(graph, node, 0, DType::f32, 1);
  const Shape& w = in_desc(graph, node, 0).shape;
  expect_shape(graph, node, 1, w);
  expect_shape(graph, node, 2, w);
  expect_shape(graph, node, 3, {1});
  check_decay(node, w[0]);
  return {};
}

Cost sgd_cost(const Graph& graph, const Node& node) {
  const double elements = static_cast<double>(in_desc(graph, node, 0).shape.elements());
  return {elements * 4 * 5, elements * 6};  // reads w, g, v; writes w, v
}

std::vector<TensorDesc> infer_squares(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  expect_float(graph, node, 0, 1);
  expect_input(graph, node, 1, DType::f32, 1);
  return {{DType::f32, {kGradientPartials}}};
}

std::vector<TensorDesc> infer_sgd_mixed(const Graph& graph, const Node& node) {
  expect_inputs(node, 8, 8);
  for (const size_t i : {size_t{0}, size_t{1}, size_t{4}}) {
    expect_input(graph, node, i, DType::f32, 1);
  }
  expect_input(graph, node, 3, expect_float(graph, node, 2, 1), 1);
  const Shape &w = in_desc(graph, node, 0).shape, &low = in_desc(graph, node, 2).shape;
  expect_shape(graph, node, 1, w);
  expect_shape(graph, node, 3, low);
  expect_shape(graph, node, 4, {w[0] - low[0]});
  expect_shape(graph, node, 5, {kGradientPartials});
  expect_shape(graph, node, 6, {1});
  expect_shape(graph, node, 7, {1});
  check_decay(node, w[0]);
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

}  // namespace

const OpDef op_gradient_squares{"gradient_squares", OpKind::base, infer_squares, nullptr, nullptr,
                                copy_cost};
const OpDef op_sgd_update_mixed{"sgd_update_mixed",
                                OpKind::base,
                                infer_sgd_mixed,
                                nullptr,
                                nullptr,
                                copy_cost,
                                Alias::never(),
                                1u << 0 | 1u << 1 | 1u << 2};
const OpDef op_loss_scale_update{
    "loss_scale_update", OpKind::base,   infer_loss_scale, nullptr, nullptr,
    copy_cost,           Alias::never(), 1u << 1 | 1u << 2};
const OpDef op_advance_step{"advance_step", OpKind::base, infer_advance,  nullptr,
                            nullptr,        copy_cost,    Alias::never(), 1u << 0 | 1u << 1};
const OpDef op_sgd_update{"sgd_update", OpKind::base, infer_sgd,      nullptr,
                          nullptr,      sgd_cost,     Alias::never(), 1u << 0 | 1u << 2};

void sgd_update(Graph& graph, Value w, Value gradient, Value velocity, Value lr,
                const SgdAttrs& attrs) {
  graph.add(op_sgd_update, {w, gradient, velocity, lr}, attrs);
}

Value gradient_squares(Graph& graph, Value low_gradient, Value high_gradient) {
  return graph.add(op_gradient_squares, {low_gradient, high_gradient}, NoAttrs{})[0];
}
void sgd_update_mixed(Graph& graph, const MixedArena& a, Value squares, Value lr, Value loss_scale,
                      const SgdAttrs& attrs) {
  graph.add(op_sgd_update_mixed,
            {a.weights, a.velocity, a.low_weights, a.low_gradient, a.high_gradient, squares, lr,
             loss_scale},
            attrs);
}
void loss_scale_update(Graph& graph, Value squares, Value loss_scale, Value counters,
                       const LossScaleAttrs& attrs) {
  graph.add(op_loss_scale_update, {squares, loss_scale, counters}, attrs);
}
void advance_step(Graph& graph, Value key, Value row, Value table) {
  graph.add(op_advance_step, {key, row, table}, NoAttrs{});
}

}  // namespace kd
