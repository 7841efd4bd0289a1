// Optimiser updates over flat arenas.
#include "ops/common.h"

namespace kd {
namespace {

std::vector<TensorDesc> infer_sgd(const Graph& graph, const Node& node) {
  expect_inputs(node, 4, 4);
  expect_input(graph, node, 0, DType::f32, 1);
  const Shape& w = in_desc(graph, node, 0).shape;
  expect_shape(graph, node, 1, w);
  expect_shape(graph, node, 2, w);
  expect_shape(graph, node, 3, {1});
  const auto& attrs = node.attr<SgdAttrs>();
  KD_CHECK(attrs.decay_elements >= 0 && attrs.decay_elements <= w[0],
           "{}: {} of {} elements are to be decayed", label(node), attrs.decay_elements, w[0]);
  return {};
}

Cost sgd_cost(const Graph& graph, const Node& node) {
  const double elements = static_cast<double>(in_desc(graph, node, 0).shape.elements());
  return {elements * 4 * 5, elements * 6};  // reads w, g, v; writes w, v
}

}  // namespace

const OpDef op_sgd_update{"sgd_update", OpKind::base, infer_sgd,      nullptr,
                          nullptr,      sgd_cost,     Alias::never(), 1u << 0 | 1u << 2};

void sgd_update(Graph& graph, Value w, Value gradient, Value velocity, Value lr,
                const SgdAttrs& attrs) {
  graph.add(op_sgd_update, {w, gradient, velocity, lr}, attrs);
}

}  // namespace kd
