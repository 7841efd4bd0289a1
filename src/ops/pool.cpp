// Max, average and global average pooling.
#include "ops/common.h"
#include "ops/norm.h"

namespace kd {
namespace {

int64_t pooled(int64_t in, int window, int stride, int before, int after, bool ceil_mode) {
  const int64_t room = in + int64_t{before} + after - window;
  if (room < 0) return 0;
  int64_t size = (ceil_mode ? (room + stride - 1) / stride : room / stride) + 1;
  if (ceil_mode && (size - 1) * stride >= in + before)
    --size;  // must start inside x or its left pad
  return size;
}

}  // namespace

Shape pooled_shape(const Node& node, const PoolAttrs& attrs, const Shape& x) {
  for (const int value : {attrs.window[0], attrs.window[1], attrs.stride[0], attrs.stride[1]}) {
    KD_CHECK(value >= 1, "{}: window and stride must be 1 or more, found {}", label(node), value);
  }
  for (size_t side = 0; side < 4; ++side) {
    KD_CHECK(attrs.pad[side] >= 0 && attrs.pad[side] < attrs.window[side % 2],
             "{}: padding {} must be 0 or more and less than the window {}", label(node),
             attrs.pad[side], attrs.window[side % 2]);
  }
  const auto [h, w] = pooled_size(attrs, x[1], x[2]);
  KD_CHECK(h > 0 && w > 0, "{}: the window {} x {} does not fit into {}", label(node),
           attrs.window[0], attrs.window[1], x);
  return {x[0], h, w, x[3]};
}

Shape indexed_pool_shape(const Node& node, const PoolAttrs& attrs, const Shape& x) {
  KD_CHECK(int64_t{attrs.window[0]} * attrs.window[1] <= 256,
           "{}: the window {} x {} has more than 256 places", label(node), attrs.window[0],
           attrs.window[1]);
  return pooled_shape(node, attrs, x);
}

namespace {

std::vector<TensorDesc> infer_max(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const DType dtype = expect_float(graph, node, 0, 4);
  const Shape y = indexed_pool_shape(node, node.attr<PoolAttrs>(), in_desc(graph, node, 0).shape);
  return {{dtype, y}, {DType::u8, y}};
}

std::vector<TensorDesc> infer_avg(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const DType dtype = expect_float(graph, node, 0, 4);
  return {{dtype, pooled_shape(node, node.attr<PoolAttrs>(), in_desc(graph, node, 0).shape)}};
}

std::vector<TensorDesc> infer_backward(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 2);
  const DType dtype = expect_float(graph, node, 0, 4);
  const auto& attrs = node.attr<PoolGradAttrs>();
  const Shape& dy = in_desc(graph, node, 0).shape;
  const Shape dx{dy[0], attrs.size[0], attrs.size[1], dy[3]};
  KD_CHECK(pooled_shape(node, attrs.pool, dx) == dy,
           "{}: gradient {} does not belong to an input {}", label(node), dy, dx);
  return {{dtype, dx}};
}

PoolGradAttrs grad_attrs(const Graph& graph, const Node& node) {
  const Shape& x = graph.shape(node.inputs[0]);
  return {node.attr<PoolAttrs>(), {static_cast<int>(x[1]), static_cast<int>(x[2])}};
}

void vjp_max(Graph& graph, const Node& node, Grads& grads) {
  const Value dy = grads.of(node.outputs[0]);
  grads.add(node.inputs[0], graph.add(op_max_pool_backward, {dy, node.outputs[1]},
                                      grad_attrs(graph, node), node.name)[0]);
}

void vjp_avg(Graph& graph, const Node& node, Grads& grads) {
  const Value dy = grads.of(node.outputs[0]);
  grads.add(node.inputs[0],
            graph.add(op_avg_pool_backward, {dy}, grad_attrs(graph, node), node.name)[0]);
}

std::vector<TensorDesc> infer_global(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const DType dtype = expect_float(graph, node, 0, 4);
  const Shape& x = in_desc(graph, node, 0).shape;
  return {{dtype, {x[0], 1, 1, x[3]}}};
}

std::vector<TensorDesc> infer_global_backward(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const DType dtype = expect_float(graph, node, 0, 4);
  const Shape& dy = in_desc(graph, node, 0).shape;
  const auto& size = node.attr<SizeAttrs>().size;
  KD_CHECK(dy[1] == 1 && dy[2] == 1, "{}: gradient {} is not (N, 1, 1, C)", label(node), dy);
  return {{dtype, {dy[0], size[0], size[1], dy[3]}}};
}

void vjp_global(Graph& graph, const Node& node, Grads& grads) {
  const Shape x = graph.shape(node.inputs[0]);
  const SizeAttrs size{{static_cast<int>(x[1]), static_cast<int>(x[2])}};
  grads.add(node.inputs[0], graph.add(op_global_avg_pool_backward, {grads.of(node.outputs[0])},
                                      size, node.name)[0]);
}

Cost pool_cost(const Graph& graph, const Node& node) {
  const auto& window = node.attr<PoolAttrs>().window;
  return moved(graph, node, double(window[0]) * window[1]);
}
Cost global_cost(const Graph& graph, const Node& node) {
  Cost cost = copy_cost(graph, node);
  cost.flops = static_cast<double>(graph.shape(node.inputs[0]).elements());
  return cost;
}

}  // namespace

std::array<int64_t, 2> pooled_size(const PoolAttrs& a, int64_t h, int64_t w) {
  return {pooled(h, a.window[0], a.stride[0], a.pad[0], a.pad[2], a.ceil_mode),
          pooled(w, a.window[1], a.stride[1], a.pad[1], a.pad[3], a.ceil_mode)};
}

const OpDef op_max_pool{"max_pool", OpKind::base, infer_max, vjp_max, nullptr, pool_cost};
const OpDef op_max_pool_backward{
    "max_pool_backward", OpKind::base, infer_backward, nullptr, nullptr, pointwise_cost};
const OpDef op_avg_pool{"avg_pool", OpKind::base, infer_avg, vjp_avg, nullptr, pool_cost};
const OpDef op_avg_pool_backward{
    "avg_pool_backward", OpKind::base, infer_backward, nullptr, nullptr, pointwise_cost};
const OpDef op_global_avg_pool{"global_avg_pool", OpKind::base, infer_global,
                               vjp_global,        nullptr,      global_cost};
const OpDef op_global_avg_pool_backward{"global_avg_pool_backward",
                                        OpKind::base,
                                        infer_global_backward,
                                        nullptr,
                                        nullptr,
                                        pointwise_cost};

Value max_pool(Graph& graph, Value x, const PoolAttrs& attrs, std::string name) {
  return graph.add(op_max_pool, {x}, attrs, std::move(name))[0];
}
Value avg_pool(Graph& graph, Value x, const PoolAttrs& attrs, std::string name) {
  return graph.add(op_avg_pool, {x}, attrs, std::move(name))[0];
}
Value global_avg_pool(Graph& graph, Value x, std::string name) {
  return graph.add(op_global_avg_pool, {x}, NoAttrs{}, std::move(name))[0];
}

}  // namespace kd
