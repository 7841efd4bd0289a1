// The batch-norm chain around convolutions: statistics as an epilogue, the normalisation and ReLU
// as a prologue, and the same backwards. fuse_conv_norm_chain makes these nodes of a differentiated
// graph, so none has a gradient.
#include "ops/common.h"
#include "ops/norm.h"

namespace kd {
namespace {

// The convolution inside a fused node, as a node of its own: its rules hold here too.
Node part(const OpDef& op, const Node& node, std::vector<Value> inputs, std::any attrs,
          std::vector<Value> outputs = {}) {
  return {&op, node.name, std::move(inputs), std::move(outputs), std::move(attrs)};
}

TensorDesc channels_of(const TensorDesc& x) { return {DType::f32, {x.shape[3]}}; }

// in: x, w -> y, sum, sum_of_squares
std::vector<TensorDesc> infer_stats(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  const TensorDesc y =
      op_conv2d.infer(graph, part(op_conv2d, node, node.inputs, node.attr<Conv2dAttrs>()))[0];
  return {y, channels_of(y), channels_of(y)};
}

// in: sum, sum_of_squares, gamma, beta, running_mean, running_var -> mean, var, scale, bias
std::vector<TensorDesc> infer_finalize(const Graph& graph, const Node& node) {
  expect_inputs(node, 6, 6);
  expect_input(graph, node, 0, DType::f32, 1);
  check_channels(graph, node, 1, 5, in_desc(graph, node, 0).shape);
  const int64_t count = node.attr<NormFinalizeAttrs>().count;
  KD_CHECK(count >= 1, "{}: statistics of {} values", label(node), count);
  return std::vector<TensorDesc>(4, in_desc(graph, node, 0));
}

// in: x, scale, bias (, residual (, residual_scale, residual_bias)) -> y
std::vector<TensorDesc> infer_scale_bias_relu(const Graph& graph, const Node& node) {
  expect_inputs(node, 3, 6);
  KD_CHECK(node.inputs.size() != 5, "{}: a residual's scale without its bias", label(node));
  expect_float(graph, node, 0, 4);
  const TensorDesc& x = in_desc(graph, node, 0);
  check_channels(graph, node, 1, 2, x.shape);
  if (node.inputs.size() > 3) {
    expect_shape(graph, node, 3, x.shape);
    expect_dtype(graph, node, 3, x.dtype);
  }
  if (node.inputs.size() > 4) check_channels(graph, node, 4, 5, x.shape);
  return {x};
}

// in: x, scale, bias, w -> y, sum, sum_of_squares
std::vector<TensorDesc> infer_prologue_stats(const Graph& graph, const Node& node) {
  expect_inputs(node, 4, 4);
  const Node conv = part(op_conv2d, node, {node.inputs[0], node.inputs[3]},
                         Conv2dAttrs(node.attr<Conv2dAttrs>()));
  const TensorDesc y = op_conv2d.infer(graph, conv)[0];
  check_channels(graph, node, 1, 2, in_desc(graph, node, 0).shape);
  return {y, channels_of(y), channels_of(y)};
}

// in: x, scale, bias, dy -> dw
std::vector<TensorDesc> infer_prologue_wgrad(const Graph& graph, const Node& node) {
  expect_inputs(node, 4, 4);
  const Node wgrad = part(op_conv2d_wgrad, node, {node.inputs[0], node.inputs[3]},
                          Conv2dGradAttrs(node.attr<Conv2dGradAttrs>()));
  std::vector<TensorDesc> dw = op_conv2d_wgrad.infer(graph, wgrad);
  check_channels(graph, node, 1, 2, in_desc(graph, node, 0).shape);
  return dw;
}

Conv2dGradAttrs dgrad_attrs(const Node& node) {
  const auto& attrs = node.attr<Conv2dDgradNormAttrs>();
  return {attrs.conv, attrs.size};
}

// in: dy, w, x, scale, bias, mean, var -> dz, dgamma, dbeta
std::vector<TensorDesc> infer_dgrad_norm(const Graph& graph, const Node& node) {
  expect_inputs(node, 7, 7);
  const Node dgrad =
      part(op_conv2d_dgrad, node, {node.inputs[0], node.inputs[1]}, dgrad_attrs(node));
  const TensorDesc dz = op_conv2d_dgrad.infer(graph, dgrad)[0];
  expect_shape(graph, node, 2, dz.shape);
  expect_dtype(graph, node, 2, dz.dtype);
  check_channels(graph, node, 3, 6, dz.shape);
  return {dz, channels_of(dz), channels_of(dz)};
}

// in: dz, x, gamma, mean, var, dgamma, dbeta -> dx
std::vector<TensorDesc> infer_input_grad(const Graph& graph, const Node& node) {
  expect_inputs(node, 7, 7);
  expect_float(graph, node, 0, 4);
  const TensorDesc& dz = in_desc(graph, node, 0);
  expect_shape(graph, node, 1, dz.shape);
  expect_dtype(graph, node, 1, dz.dtype);
  check_channels(graph, node, 2, 6, dz.shape);
  return {dz};
}

// x in f32, which sums and products of channels are taken in.
Value wide(Graph& graph, Value x, const std::string& name) {
  return graph.desc(x).dtype == DType::f32 ? x : cast(graph, x, DType::f32, name);
}

Value scaled(Graph& graph, Value x, Value scale, Value bias, const std::string& name) {
  return add(graph, mul(graph, wide(graph, x, name), scale, name), bias, name);
}

std::vector<Value> expand_stats(Graph& graph, const Node& node) {
  const Value y =
      conv2d(graph, node.inputs[0], node.inputs[1], node.attr<Conv2dAttrs>(), node.name);
  const Shape channels{graph.shape(y)[3]};
  const Value stored = wide(graph, y, node.name);
  return {y, sum_to(graph, stored, channels, node.name),
          sum_to(graph, mul(graph, stored, stored, node.name), channels, node.name)};
}

std::vector<Value> expand_scale_bias_relu(Graph& graph, const Node& node) {
  const auto& in = node.inputs;
  const DType dtype = graph.desc(in[0]).dtype;
  Value y = scaled(graph, in[0], in[1], in[2], node.name);
  if (in.size() > 3) {
    const Value residual = in.size() > 4 ? scaled(graph, in[3], in[4], in[5], node.name)
                                         : wide(graph, in[3], node.name);
    y = add(graph, y, residual, node.name);
  }
  y = relu(graph, y, node.name);
  return {dtype == DType::f32 ? y : cast(graph, y, dtype, node.name)};
}

Scaled prologue(const Node& node) { return {node.inputs[0], node.inputs[1], node.inputs[2]}; }

std::vector<Value> expand_prologue_stats(Graph& graph, const Node& node) {
  const Conv2dAttrs attrs = node.attr<Conv2dAttrs>();
  const Value w = node.inputs[3], a = scale_bias_relu(graph, prologue(node), {}, node.name);
  return graph.add(op_conv2d_stats, {a, w}, attrs, node.name);
}

std::vector<Value> expand_prologue_wgrad(Graph& graph, const Node& node) {
  const Conv2dGradAttrs attrs = node.attr<Conv2dGradAttrs>();
  const Value dy = node.inputs[3], a = scale_bias_relu(graph, prologue(node), {}, node.name);
  return graph.add(op_conv2d_wgrad, {a, dy}, attrs, node.name);
}

// The sums are those of batch_norm_backward, whose dx nobody uses here; they do not depend on its
// gamma, so any vector of channels will do for it.
std::vector<Value> expand_dgrad_norm(Graph& graph, const Node& node) {
  const auto in = node.inputs;
  const DType dtype = graph.desc(in[2]).dtype;
  const Value d = graph.add(op_conv2d_dgrad, {in[0], in[1]}, dgrad_attrs(node), node.name)[0];
  const Value z = scaled(graph, in[2], in[3], in[4], node.name);
  Value dz = graph.add(op_activation_backward, {wide(graph, d, node.name), z},
                       ActivationAttrs{Activation::relu}, node.name)[0];
  if (dtype != DType::f32) dz = cast(graph, dz, dtype, node.name);
  BatchNormAttrs norm;
  norm.eps = node.attr<Conv2dDgradNormAttrs>().eps;
  const auto sums =
      graph.add(op_batch_norm_backward, {dz, in[2], in[3], in[5], in[6]}, norm, node.name);
  return {dz, sums[1], sums[2]};
}

// Bytes of the fused node, FLOPs of its convolution (the rest is lost in them).
Cost with_flops_of(const Graph& graph, const Node& node, const Node& conv) {
  Cost cost = copy_cost(graph, node);
  cost.flops = conv.op->cost(graph, conv).flops;
  return cost;
}
Cost stats_cost(const Graph& graph, const Node& node) {
  return with_flops_of(graph, node, part(op_conv2d, node, node.inputs, {}, {node.outputs[0]}));
}
Cost prologue_stats_cost(const Graph& graph, const Node& node) {
  const std::vector<Value> inputs{node.inputs[0], node.inputs[3]};
  return with_flops_of(graph, node, part(op_conv2d, node, inputs, {}, {node.outputs[0]}));
}
Cost prologue_wgrad_cost(const Graph& graph, const Node& node) {
  const std::vector<Value> inputs{node.inputs[0], node.inputs[3]};
  return with_flops_of(graph, node, part(op_conv2d_wgrad, node, inputs, {}, node.outputs));
}
Cost dgrad_norm_cost(const Graph& graph, const Node& node) {
  const std::vector<Value> inputs{node.inputs[0], node.inputs[1]};
  return with_flops_of(graph, node, part(op_conv2d_dgrad, node, inputs, {}, {node.outputs[0]}));
}
Cost scale_cost(const Graph& graph, const Node& node) { return moved(graph, node, 3); }
Cost input_grad_cost(const Graph& graph, const Node& node) { return moved(graph, node, 4); }

constexpr uint32_t kUpdatesRunning = 1u << 4 | 1u << 5;

}  // namespace

const OpDef op_conv2d_stats{"conv2d_stats", OpKind::fused, infer_stats,
                            nullptr,        expand_stats,  stats_cost};
const OpDef op_norm_finalize{"norm_finalize", OpKind::base, infer_finalize, nullptr,
                             nullptr,         copy_cost,    Alias::never(), kUpdatesRunning};
const OpDef op_scale_bias_relu{"scale_bias_relu", OpKind::fused,          infer_scale_bias_relu,
                               nullptr,           expand_scale_bias_relu, scale_cost};
const OpDef op_scale_bias_relu_conv2d_stats{"scale_bias_relu_conv2d_stats", OpKind::fused,
                                            infer_prologue_stats,           nullptr,
                                            expand_prologue_stats,          prologue_stats_cost};
const OpDef op_scale_bias_relu_conv2d_wgrad{"scale_bias_relu_conv2d_wgrad", OpKind::fused,
                                            infer_prologue_wgrad,           nullptr,
                                            expand_prologue_wgrad,          prologue_wgrad_cost};
const OpDef op_conv2d_dgrad_relu_norm{"conv2d_dgrad_relu_norm", OpKind::fused,
                                      infer_dgrad_norm,         nullptr,
                                      expand_dgrad_norm,        dgrad_norm_cost};
const OpDef op_norm_input_grad{"norm_input_grad", OpKind::base,    infer_input_grad,  nullptr,
                               nullptr,           input_grad_cost, Alias::in_place(0)};

ConvStats conv2d_stats(Graph& graph, Value x, Value w, const Conv2dAttrs& attrs, std::string name) {
  const auto made = graph.add(op_conv2d_stats, {x, w}, attrs, std::move(name));
  return {made[0], made[1], made[2]};
}

NormFinalized norm_finalize(Graph& graph, Value sum, Value sum_of_squares,
                            const BatchNormWeights& weights, const NormFinalizeAttrs& attrs,
                            std::string name) {
  const auto made = graph.add(
      op_norm_finalize,
      {sum, sum_of_squares, weights.gamma, weights.beta, weights.running_mean, weights.running_var},
      attrs, std::move(name));
  return {made[0], made[1], made[2], made[3]};
}

Value scale_bias_relu(Graph& graph, const Scaled& x, const Scaled& residual, std::string name) {
  std::vector<Value> inputs{x.x, x.scale, x.bias};
  for (const Value v : {residual.x, residual.scale, residual.bias}) {
    if (v) inputs.push_back(v);
  }
  return graph.add(op_scale_bias_relu, std::move(inputs), NoAttrs{}, std::move(name))[0];
}

ConvStats scale_bias_relu_conv2d_stats(Graph& graph, const Scaled& x, Value w,
                                       const Conv2dAttrs& attrs, std::string name) {
  const auto made =
      graph.add(op_scale_bias_relu_conv2d_stats, {x.x, x.scale, x.bias, w}, attrs, std::move(name));
  return {made[0], made[1], made[2]};
}

Value scale_bias_relu_conv2d_wgrad(Graph& graph, const Scaled& x, Value dy,
                                   const Conv2dGradAttrs& attrs, std::string name) {
  return graph.add(op_scale_bias_relu_conv2d_wgrad, {x.x, x.scale, x.bias, dy}, attrs,
                   std::move(name))[0];
}

ReluNormGrad conv2d_dgrad_relu_norm(Graph& graph, Value dy, Value w, const Scaled& x, Value mean,
                                    Value var, const Conv2dDgradNormAttrs& attrs,
                                    std::string name) {
  const auto made = graph.add(op_conv2d_dgrad_relu_norm, {dy, w, x.x, x.scale, x.bias, mean, var},
                              attrs, std::move(name));
  return {made[0], made[1], made[2]};
}

Value norm_input_grad(Graph& graph, const ReluNormGrad& grad, Value x, Value gamma, Value mean,
                      Value var, const NormInputGradAttrs& attrs, std::string name) {
  return graph.add(op_norm_input_grad, {grad.dz, x, gamma, mean, var, grad.dgamma, grad.dbeta},
                   attrs, std::move(name))[0];
}

}  // namespace kd
