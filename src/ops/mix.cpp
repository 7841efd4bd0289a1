// Pictures of a batch are mixed with one another.
#include "kd/mix_ops.h"
#include "ops/common.h"

namespace kd {
namespace {

std::vector<TensorDesc> infer_mix(const Graph& graph, const Node& node) {
  expect_inputs(node, 4, 4);
  expect_float(graph, node, 0, 4);
  expect_dtype(graph, node, 1, DType::i32);
  expect_dtype(graph, node, 2, DType::f32);
  expect_dtype(graph, node, 3, DType::i32);
  const int64_t images = in_desc(graph, node, 0).shape[0];
  expect_shape(graph, node, 1, {images});
  expect_shape(graph, node, 2, {images});
  expect_shape(graph, node, 3, {images, 4});
  return {in_desc(graph, node, 0)};
}

Cost mix_cost(const Graph& graph, const Node& node) {
  Cost cost = moved(graph, node, 3);
  cost.bytes += static_cast<double>(in_desc(graph, node, 0).bytes());  // the partners
  return cost;
}

}  // namespace

const OpDef op_mix_images{"mix_images", OpKind::base, infer_mix, nullptr, nullptr, mix_cost};

Value mix_images(Graph& graph, Value x, Value partners, Value shares, Value boxes,
                 std::string name) {
  return graph.add(op_mix_images, {x, partners, shares, boxes}, NoAttrs{}, std::move(name))[0];
}

}  // namespace kd
