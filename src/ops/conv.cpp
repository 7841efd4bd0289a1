// Convolution and its gradients, and the fused convolution + bias (+ residual) + activation.
#include "ops/common.h"

namespace kd {
namespace {

int64_t output_size(const Node& node, const Conv2dAttrs& attrs, int axis, int64_t in,
                    int64_t window) {
  const auto at = static_cast<size_t>(axis);
  KD_CHECK(window >= 1 && window <= INT32_MAX, "{}: a kernel of {} pixels", label(node), window);
  const int64_t reach = attrs.dilation[at] * (window - 1) + 1;
  const int64_t padded = in + int64_t{attrs.pad[at]} + attrs.pad[at + 2];
  KD_CHECK(padded >= reach, "{}: the kernel reaches over {} of {} padded pixels", label(node),
           reach, padded);
  return (padded - reach) / attrs.stride[at] + 1;
}

void check_attrs(const Node& node, const Conv2dAttrs& attrs) {
  for (const int value :
       {attrs.stride[0], attrs.stride[1], attrs.dilation[0], attrs.dilation[1], attrs.groups}) {
    KD_CHECK(value >= 1, "{}: stride, dilation and groups must be 1 or more, found {}", label(node),
             value);
  }
  for (const int value : attrs.pad) {
    KD_CHECK(value >= 0, "{}: padding must be 0 or more, found {}", label(node), value);
  }
}

Shape output_shape(const Graph& graph, const Node& node, const Conv2dAttrs& attrs) {
  check_attrs(node, attrs);
  const DType dtype = expect_float(graph, node, 0, 4);
  expect_input(graph, node, 1, dtype, 4);
  const Shape &x = in_desc(graph, node, 0).shape, &w = in_desc(graph, node, 1).shape;
  KD_CHECK(w[3] <= x[3] && x[3] == w[3] * attrs.groups,
           "{}: weight {} has {} x {} channels, input {} has {}", label(node), w, w[3],
           attrs.groups, x, x[3]);
  KD_CHECK(w[0] % attrs.groups == 0, "{}: {} filters do not divide into {} groups", label(node),
           w[0], attrs.groups);
  return {x[0], output_size(node, attrs, 0, x[1], w[1]), output_size(node, attrs, 1, x[2], w[2]),
          w[0]};
}

std::vector<TensorDesc> infer_conv2d(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  return {{in_desc(graph, node, 0).dtype, output_shape(graph, node, node.attr<Conv2dAttrs>())}};
}

std::vector<TensorDesc> infer_dgrad(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  const auto& attrs = node.attr<Conv2dGradAttrs>();
  const Shape &dy = in_desc(graph, node, 0).shape, &w = in_desc(graph, node, 1).shape;
  const Shape dx{dy[0], attrs.size[0], attrs.size[1], w[3] * attrs.conv.groups};
  KD_CHECK(dy[1] == output_size(node, attrs.conv, 0, dx[1], w[1]) &&
               dy[2] == output_size(node, attrs.conv, 1, dx[2], w[2]) && dy[3] == w[0],
           "{}: gradient {} does not belong to an input {} and a weight {}", label(node), dy, dx,
           w);
  expect_dtype(graph, node, 1, expect_float(graph, node, 0, 4));
  return {{in_desc(graph, node, 0).dtype, dx}};
}

std::vector<TensorDesc> infer_wgrad(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  const auto& attrs = node.attr<Conv2dGradAttrs>();
  const Shape &x = in_desc(graph, node, 0).shape, &dy = in_desc(graph, node, 1).shape;
  KD_CHECK(x[3] % attrs.conv.groups == 0, "{}: {} channels in {} groups", label(node), x[3],
           attrs.conv.groups);
  expect_dtype(graph, node, 1, expect_float(graph, node, 0, 4));
  return {{in_desc(graph, node, 0).dtype,
           {dy[3], attrs.size[0], attrs.size[1], x[3] / attrs.conv.groups}}};
}

void vjp_conv2d(Graph& graph, const Node& node, Grads& grads) {
  const auto& attrs = node.attr<Conv2dAttrs>();
  const Value x = node.inputs[0], w = node.inputs[1], dy = grads.of(node.outputs[0]);
  const Shape xs = graph.shape(x), ws = graph.shape(w);
  if (grads.needs(w)) {
    const Conv2dGradAttrs wgrad{attrs, {static_cast<int>(ws[1]), static_cast<int>(ws[2])}};
    grads.add(w, graph.add(op_conv2d_wgrad, {x, dy}, wgrad, node.name)[0]);
  }
  if (grads.needs(x)) {
    const Conv2dGradAttrs dgrad{attrs, {static_cast<int>(xs[1]), static_cast<int>(xs[2])}};
    grads.add(x, graph.add(op_conv2d_dgrad, {dy, w}, dgrad, node.name)[0]);
  }
}

// FLOPs are those of the forward pass in all three: 2 N H' W' K R S C/groups.
Cost conv_cost(const Graph& graph, const Node& node, const Shape& y, const Shape& w) {
  Cost cost = copy_cost(graph, node);
  cost.flops = 2.0 * static_cast<double>(y.elements()) * static_cast<double>(w[1] * w[2] * w[3]);
  return cost;
}
Cost forward_cost(const Graph& graph, const Node& node) {
  return conv_cost(graph, node, graph.shape(node.outputs[0]), graph.shape(node.inputs[1]));
}
Cost dgrad_cost(const Graph& graph, const Node& node) {
  return conv_cost(graph, node, graph.shape(node.inputs[0]), graph.shape(node.inputs[1]));
}
Cost wgrad_cost(const Graph& graph, const Node& node) {
  return conv_cost(graph, node, graph.shape(node.inputs[1]), graph.shape(node.outputs[0]));
}

std::vector<TensorDesc> infer_bias_act(const Graph& graph, const Node& node) {
  expect_inputs(node, 3, 4);
  const Shape y = output_shape(graph, node, node.attr<ConvBiasActAttrs>().conv);
  expect_shape(graph, node, 2, {y[3]});
  if (node.inputs.size() == 4) expect_shape(graph, node, 3, y);
  const DType dtype = in_desc(graph, node, 0).dtype;
  for (size_t i = 2; i < node.inputs.size(); ++i) expect_dtype(graph, node, i, dtype);
  return {{dtype, y}};
}

std::vector<Value> expand_bias_act(Graph& graph, const Node& node) {
  const auto attrs = node.attr<ConvBiasActAttrs>();
  Value y = conv2d(graph, node.inputs[0], node.inputs[1], attrs.conv, node.name);
  y = add(graph, y, node.inputs[2], node.name);
  if (node.inputs.size() == 4) y = add(graph, y, node.inputs[3], node.name);
  if (attrs.activation != Activation::none) y = activation(graph, y, attrs.activation, node.name);
  return {y};
}

}  // namespace

const OpDef op_conv2d{"conv2d", OpKind::base, infer_conv2d, vjp_conv2d, nullptr, forward_cost};
const OpDef op_conv2d_dgrad{"conv2d_dgrad", OpKind::base, infer_dgrad,
                            nullptr,        nullptr,      dgrad_cost};
const OpDef op_conv2d_wgrad{"conv2d_wgrad", OpKind::base, infer_wgrad,
                            nullptr,        nullptr,      wgrad_cost};
const OpDef op_conv2d_bias_act{"conv2d_bias_act", OpKind::fused,   infer_bias_act,
                               nullptr,           expand_bias_act, forward_cost};

Value conv2d(Graph& graph, Value x, Value w, const Conv2dAttrs& attrs, std::string name) {
  return graph.add(op_conv2d, {x, w}, attrs, std::move(name))[0];
}

Value conv2d_bias_act(Graph& graph, Value x, Value w, Value bias, Value residual,
                      const ConvBiasActAttrs& attrs, std::string name) {
  std::vector<Value> inputs{x, w, bias};
  if (residual) inputs.push_back(residual);
  return graph.add(op_conv2d_bias_act, std::move(inputs), attrs, std::move(name))[0];
}

}  // namespace kd
