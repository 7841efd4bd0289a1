// Batch norm, ReLU and max-pooling in one, as stems have them: the largest activation of a network
// is never stored.
#include "ops/common.h"
#include "ops/norm.h"

namespace kd {
namespace {

// in: x, gamma, beta, running_mean, running_var -> y, mean, var, index
std::vector<TensorDesc> infer_train(const Graph& graph, const Node& node) {
  expect_inputs(node, 5, 5);
  const DType dtype = expect_float(graph, node, 0, 4);
  const Shape& x = in_desc(graph, node, 0).shape;
  check_channels(graph, node, 1, 4, x);
  const Shape y = indexed_pool_shape(node, node.attr<BatchNormPoolAttrs>().pool, x);
  const TensorDesc channels{DType::f32, {x[3]}};
  return {{dtype, y}, channels, channels, {DType::u8, y}};
}

// in: dy, index, y, x, gamma, mean, var -> dx, dgamma, dbeta
std::vector<TensorDesc> infer_backward(const Graph& graph, const Node& node) {
  expect_inputs(node, 7, 7);
  const DType dtype = expect_float(graph, node, 0, 4);
  expect_float(graph, node, 3, 4);
  const TensorDesc& x = in_desc(graph, node, 3);
  const Shape y = indexed_pool_shape(node, node.attr<BatchNormPoolAttrs>().pool, x.shape);
  for (size_t i = 0; i < 3; ++i) {
    expect_shape(graph, node, i, y);
    expect_dtype(graph, node, i, i == 1 ? DType::u8 : dtype);
  }
  expect_dtype(graph, node, 3, dtype);
  check_channels(graph, node, 4, 6, x.shape);
  const TensorDesc channels{DType::f32, {x.shape[3]}};
  return {x, channels, channels};
}

void vjp_train(Graph& graph, const Node& node, Grads& grads) {
  const Value dy = grads.of(node.outputs[0]);
  if (!dy) return;
  const auto made = graph.add(op_batch_norm_relu_max_pool_backward,
                              {dy, node.outputs[3], node.outputs[0], node.inputs[0], node.inputs[1],
                               node.outputs[1], node.outputs[2]},
                              node.attr<BatchNormPoolAttrs>(), node.name);
  for (size_t i = 0; i < 3; ++i) grads.add(node.inputs[i], made[i]);
}

std::vector<Value> expand_train(Graph& graph, const Node& node) {
  const auto attrs = node.attr<BatchNormPoolAttrs>();
  const auto normal = graph.add(op_batch_norm_relu_train, node.inputs, attrs.norm, node.name);
  const auto pooled = graph.add(op_max_pool, {normal[0]}, attrs.pool, node.name);
  return {pooled[0], normal[1], normal[2], pooled[1]};
}

// The maximum of a window passed the ReLU exactly if it is positive, so the gate may come first.
std::vector<Value> expand_backward(Graph& graph, const Node& node) {
  const auto attrs = node.attr<BatchNormPoolAttrs>();
  const Shape x = graph.shape(node.inputs[3]);
  const PoolGradAttrs pool{attrs.pool, {static_cast<int>(x[1]), static_cast<int>(x[2])}};
  const Value gated = graph.add(op_activation_backward, {node.inputs[0], node.inputs[2]},
                                ActivationAttrs{Activation::relu}, node.name)[0];
  const Value dy = graph.add(op_max_pool_backward, {gated, node.inputs[1]}, pool, node.name)[0];
  return graph.add(op_batch_norm_backward,
                   {dy, node.inputs[3], node.inputs[4], node.inputs[5], node.inputs[6]}, attrs.norm,
                   node.name);
}

Cost train_cost(const Graph& graph, const Node& node) {
  Cost cost = copy_cost(graph, node);
  const TensorDesc& x = in_desc(graph, node, 0);
  const auto& window = node.attr<BatchNormPoolAttrs>().pool.window;
  cost.flops =
      3 * static_cast<double>(x.shape.elements()) +
      5.0 * window[0] * window[1] * static_cast<double>(graph.shape(node.outputs[0]).elements());
  return cost;
}
Cost backward_cost(const Graph& graph, const Node& node) { return moved(graph, node, 8); }

constexpr uint32_t kUpdatesRunning = 1u << 3 | 1u << 4;

}  // namespace

const OpDef op_batch_norm_relu_max_pool_train{"batch_norm_relu_max_pool_train",
                                              OpKind::fused,
                                              infer_train,
                                              vjp_train,
                                              expand_train,
                                              train_cost,
                                              Alias::never(),
                                              kUpdatesRunning};
const OpDef op_batch_norm_relu_max_pool_backward{"batch_norm_relu_max_pool_backward",
                                                 OpKind::fused,
                                                 infer_backward,
                                                 nullptr,
                                                 expand_backward,
                                                 backward_cost};

BatchNormPooled batch_norm_relu_max_pool_train(Graph& graph, Value x,
                                               const BatchNormWeights& weights,
                                               const BatchNormPoolAttrs& attrs, std::string name) {
  const auto made =
      graph.add(op_batch_norm_relu_max_pool_train,
                {x, weights.gamma, weights.beta, weights.running_mean, weights.running_var}, attrs,
                std::move(name));
  return {made[0], made[1], made[2], made[3]};
}

}  // namespace kd
