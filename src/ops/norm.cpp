// Batch norm: inference, training, and fused with the residual add and the ReLU that follow it.
#include "ops/norm.h"

#include "ops/common.h"

namespace kd {

void check_channels(const Graph& graph, const Node& node, size_t first, size_t last,
                    const Shape& x) {
  for (size_t i = first; i <= last; ++i) {
    expect_shape(graph, node, i, {x[x.rank() - 1]});
    expect_dtype(graph, node, i, DType::f32);
  }
}

namespace {

std::vector<TensorDesc> infer_inference(const Graph& graph, const Node& node) {
  expect_inputs(node, 5, 5);
  expect_float(graph, node, 0, 4);
  check_channels(graph, node, 1, 4, in_desc(graph, node, 0).shape);
  return {in_desc(graph, node, 0)};
}

std::vector<TensorDesc> infer_train(const Graph& graph, const Node& node) {
  expect_inputs(node, 5, 6);
  expect_float(graph, node, 0, 4);
  const TensorDesc& x = in_desc(graph, node, 0);
  check_channels(graph, node, 1, 4, x.shape);
  if (node.inputs.size() == 6) {
    expect_shape(graph, node, 5, x.shape);
    expect_dtype(graph, node, 5, x.dtype);
  }
  const TensorDesc channels{DType::f32, {x.shape[3]}};
  return {x, channels, channels};
}

// in: dy, x, gamma, mean, var -> dx, dgamma, dbeta
std::vector<TensorDesc> infer_backward(const Graph& graph, const Node& node) {
  expect_inputs(node, 5, 5);
  const TensorDesc& dy = in_desc(graph, node, 0);
  expect_shape(graph, node, 1, dy.shape);
  check_channels(graph, node, 2, 4, dy.shape);
  const TensorDesc channels{DType::f32, {dy.shape[3]}};
  return {dy, channels, channels};
}

// What both gradients below give, for their gamma, mean, var.
std::vector<TensorDesc> relu_gradients(const Graph& graph, const Node& node) {
  const TensorDesc& dy = in_desc(graph, node, 0);
  check_channels(graph, node, 3, 5, dy.shape);
  const TensorDesc channels{DType::f32, {dy.shape[3]}};
  std::vector<TensorDesc> outputs{dy, channels, channels};
  if (node.attr<BatchNormReluGradAttrs>().residual) outputs.push_back(dy);
  return outputs;
}

// in: dy, y, x, gamma, mean, var -> dx, dgamma, dbeta (, dresidual)
std::vector<TensorDesc> infer_relu_backward(const Graph& graph, const Node& node) {
  expect_inputs(node, 6, 6);
  const TensorDesc& dy = in_desc(graph, node, 0);
  expect_shape(graph, node, 1, dy.shape);
  expect_shape(graph, node, 2, dy.shape);
  return relu_gradients(graph, node);
}

std::vector<TensorDesc> infer_mask_train(const Graph& graph, const Node& node) {
  std::vector<TensorDesc> outputs = infer_train(graph, node);
  outputs.push_back(mask_desc(outputs[0].shape));
  return outputs;
}

// in: dy, mask, x, gamma, mean, var -> dx, dgamma, dbeta (, dresidual)
std::vector<TensorDesc> infer_mask_backward(const Graph& graph, const Node& node) {
  expect_inputs(node, 6, 6);
  const TensorDesc& dy = in_desc(graph, node, 0);
  expect_mask(graph, node, 1, dy.shape);
  expect_shape(graph, node, 2, dy.shape);
  return relu_gradients(graph, node);
}

// An affine map of x with constants: dx = dy gamma / sqrt(var + eps), written as the map itself
// with a zero mean and a zero beta.
void vjp_inference(Graph& graph, const Node& node, Grads& grads) {
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    KD_CHECK(!grads.needs(node.inputs[i]), "{}: inference batch norm trains none of its vectors",
             label(node));
  }
  const Value zero = fill(graph, graph.shape(node.inputs[1]), 0);
  const BatchNormWeights map{node.inputs[1], zero, zero, node.inputs[4]};
  grads.add(node.inputs[0], batch_norm(graph, grads.of(node.outputs[0]), map,
                                       node.attr<BatchNormAttrs>(), node.name));
}

void vjp_train(Graph& graph, const Node& node, Grads& grads) {
  const Value dy = grads.of(node.outputs[0]);
  if (!dy) return;
  const auto made =
      graph.add(op_batch_norm_backward,
                {dy, node.inputs[0], node.inputs[1], node.outputs[1], node.outputs[2]},
                BatchNormAttrs(node.attr<BatchNormAttrs>()), node.name);
  for (size_t i = 0; i < 3; ++i) grads.add(node.inputs[i], made[i]);
}

// `saved` tells where the ReLU let the gradient through: y, or its mask.
void add_relu_gradient(Graph& graph, const Node& node, Grads& grads, const OpDef& op, Value saved) {
  const Value dy = grads.of(node.outputs[0]);
  if (!dy) return;
  const bool residual = node.inputs.size() == 6;
  const BatchNormReluGradAttrs attrs{node.attr<BatchNormAttrs>().eps, residual};
  const auto made =
      graph.add(op, {dy, saved, node.inputs[0], node.inputs[1], node.outputs[1], node.outputs[2]},
                attrs, node.name);
  for (size_t i = 0; i < 3; ++i) grads.add(node.inputs[i], made[i]);
  if (residual) grads.add(node.inputs[5], made[3]);
}

void vjp_relu_train(Graph& graph, const Node& node, Grads& grads) {
  add_relu_gradient(graph, node, grads, op_batch_norm_relu_backward, node.outputs[0]);
}

void vjp_mask_train(Graph& graph, const Node& node, Grads& grads) {
  add_relu_gradient(graph, node, grads, op_batch_norm_relu_mask_backward, node.outputs[3]);
}

std::vector<Value> expand_relu_train(Graph& graph, const Node& node) {
  const BatchNormWeights weights{node.inputs[1], node.inputs[2], node.inputs[3], node.inputs[4]};
  const auto attrs = node.attr<BatchNormAttrs>();
  const BatchNormTrained made = batch_norm_train(graph, node.inputs[0], weights, attrs, node.name);
  Value y = made.y;
  if (node.inputs.size() == 6) y = add(graph, y, node.inputs[5], node.name);
  return {relu(graph, y, node.name), made.mean, made.var};
}

// `masked` is dy where the ReLU let it through.
std::vector<Value> expand_backward(Graph& graph, const Node& node, Value masked) {
  const auto attrs = node.attr<BatchNormReluGradAttrs>();
  BatchNormAttrs norm;
  norm.eps = attrs.eps;
  auto made = graph.add(op_batch_norm_backward,
                        {masked, node.inputs[2], node.inputs[3], node.inputs[4], node.inputs[5]},
                        norm, node.name);
  if (attrs.residual) made.push_back(masked);
  return made;
}

std::vector<Value> expand_relu_backward(Graph& graph, const Node& node) {
  return expand_backward(graph, node,
                         graph.add(op_activation_backward, {node.inputs[0], node.inputs[1]},
                                   ActivationAttrs{Activation::relu}, node.name)[0]);
}

std::vector<Value> expand_mask_train(Graph& graph, const Node& node) {
  auto made =
      graph.add(op_batch_norm_relu_train, node.inputs, node.attr<BatchNormAttrs>(), node.name);
  made.push_back(sign_mask(graph, made[0], node.name));
  return made;
}

std::vector<Value> expand_mask_backward(Graph& graph, const Node& node) {
  return expand_backward(graph, node, apply_mask(graph, node.inputs[0], node.inputs[1], node.name));
}

Cost norm_cost(const Graph& graph, const Node& node) { return moved(graph, node, 8); }

constexpr uint32_t kUpdatesRunning = 1u << 3 | 1u << 4;

}  // namespace

const OpDef op_batch_norm{"batch_norm",  OpKind::base, infer_inference,
                          vjp_inference, nullptr,      norm_cost};
const OpDef op_batch_norm_train{"batch_norm_train", OpKind::base,   infer_train,
                                vjp_train,          nullptr,        norm_cost,
                                Alias::never(),     kUpdatesRunning};
const OpDef op_batch_norm_backward{
    "batch_norm_backward", OpKind::base, infer_backward, nullptr, nullptr, norm_cost};
const OpDef op_batch_norm_relu_train{"batch_norm_relu_train", OpKind::fused,     infer_train,
                                     vjp_relu_train,          expand_relu_train, norm_cost,
                                     Alias::never(),          kUpdatesRunning};
const OpDef op_batch_norm_relu_backward{"batch_norm_relu_backward", OpKind::fused,
                                        infer_relu_backward,        nullptr,
                                        expand_relu_backward,       norm_cost};

const OpDef op_batch_norm_relu_mask_train{"batch_norm_relu_mask_train",
                                          OpKind::fused,
                                          infer_mask_train,
                                          vjp_mask_train,
                                          expand_mask_train,
                                          norm_cost,
                                          Alias::never(),
                                          kUpdatesRunning};
const OpDef op_batch_norm_relu_mask_backward{"batch_norm_relu_mask_backward",
                                             OpKind::fused,
                                             infer_mask_backward,
                                             nullptr,
                                             expand_mask_backward,
                                             norm_cost};

Value batch_norm(Graph& graph, Value x, const BatchNormWeights& weights,
                 const BatchNormAttrs& attrs, std::string name) {
  return graph.add(op_batch_norm,
                   {x, weights.gamma, weights.beta, weights.running_mean, weights.running_var},
                   attrs, std::move(name))[0];
}

BatchNormTrained batch_norm_train(Graph& graph, Value x, const BatchNormWeights& weights,
                                  const BatchNormAttrs& attrs, std::string name) {
  const auto made =
      graph.add(op_batch_norm_train,
                {x, weights.gamma, weights.beta, weights.running_mean, weights.running_var}, attrs,
                std::move(name));
  return {made[0], made[1], made[2]};
}

BatchNormTrained batch_norm_relu_train(Graph& graph, Value x, const BatchNormWeights& weights,
                                       Value residual, const BatchNormAttrs& attrs,
                                       std::string name) {
  std::vector<Value> inputs{x, weights.gamma, weights.beta, weights.running_mean,
                            weights.running_var};
  if (residual) inputs.push_back(residual);
  const auto made = graph.add(op_batch_norm_relu_train, std::move(inputs), attrs, std::move(name));
  return {made[0], made[1], made[2]};
}

BatchNormMasked batch_norm_relu_mask_train(Graph& graph, Value x, const BatchNormWeights& weights,
                                           Value residual, const BatchNormAttrs& attrs,
                                           std::string name) {
  std::vector<Value> inputs{x, weights.gamma, weights.beta, weights.running_mean,
                            weights.running_var};
  if (residual) inputs.push_back(residual);
  const auto made =
      graph.add(op_batch_norm_relu_mask_train, std::move(inputs), attrs, std::move(name));
  return {made[0], made[1], made[2], made[3]};
}

}  // namespace kd
