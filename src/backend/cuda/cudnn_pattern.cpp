#include "backend/cuda/cudnn_pattern.h"

#include <array>

#include "kd/error.h"

namespace kd::cuda {
namespace {

constexpr std::array<std::string_view, 8> kKindNames{"conv",
                                                     "dgrad",
                                                     "wgrad",
                                                     "conv_bias_act",
                                                     "conv_stats",
                                                     "scale_relu_conv_stats",
                                                     "scale_relu_wgrad",
                                                     "dgrad_relu_norm"};

template <class Range>
std::string joined(const Range& numbers) {
  std::string text;
  for (const auto number : numbers) text += (text.empty() ? "" : ",") + std::to_string(number);
  return text;
}

bool has_activation(Activation kind) {
  return kind != Activation::hard_swish && kind != Activation::hard_sigmoid;
}

}  // namespace

std::vector<TensorDesc> Pattern::tensors() const {
  const TensorDesc xs{dtype, x}, ws{dtype, w}, ys{dtype, y};
  const TensorDesc of_x{dtype, {x[3]}}, of_y{dtype, {y[3]}};  // a value a channel
  const TensorDesc sums_of_x{DType::f32, {x[3]}}, sums_of_y{DType::f32, {y[3]}};
  switch (kind) {
    case PatternKind::conv:
      return {xs, ws, ys};
    case PatternKind::dgrad:
      return {ys, ws, xs};
    case PatternKind::wgrad:
      return {xs, ys, ws};
    case PatternKind::conv_bias_act:
      if (residual) return {xs, ws, of_y, ys, ys};
      return {xs, ws, of_y, ys};
    case PatternKind::conv_stats:
      return {xs, ws, ys, sums_of_y, sums_of_y};
    case PatternKind::scale_relu_conv_stats:
      return {xs, of_x, of_x, ws, ys, sums_of_y, sums_of_y};
    case PatternKind::scale_relu_wgrad:
      return {xs, of_x, of_x, ys, ws};
    case PatternKind::dgrad_relu_norm:
      break;
  }
  std::vector<TensorDesc> all{ys, ws, xs};
  all.insert(all.end(), 4, sums_of_x);  // mean, inv_std, gamma, beta
  all.push_back(xs);
  all.insert(all.end(), 5, sums_of_x);
  return all;
}

std::string Pattern::key() const {
  std::string text = format(
      "{} {} x={} w={} y={} stride={} dilation={} pad={} groups={}",
      kKindNames.at(static_cast<size_t>(kind)), name_of(dtype), joined(x.dims()), joined(w.dims()),
      joined(y.dims()), joined(conv.stride), joined(conv.dilation), joined(conv.pad), conv.groups);
  if (kind == PatternKind::conv_bias_act) text += format(" activation={}", name_of(activation));
  if (residual) text += " residual";
  if (allow_tf32) text += " tf32";
  return text;
}

std::optional<Pattern> pattern_of(const Graph& graph, const Node& node, bool allow_tf32) {
  const auto in = [&](size_t i) { return graph.shape(node.inputs.at(i)); };
  const Shape out = graph.shape(node.outputs.at(0));
  const std::string_view op = node.op->name;
  Pattern pattern;
  pattern.dtype = graph.desc(node.outputs[0]).dtype;
  pattern.allow_tf32 = allow_tf32 && pattern.dtype == DType::f32;
  const auto of = [&](PatternKind kind, const Conv2dAttrs& conv, const Shape& x, const Shape& w,
                      const Shape& y) {
    pattern.kind = kind;
    pattern.conv = conv;
    pattern.x = x, pattern.w = w, pattern.y = y;
    return pattern;
  };
  if (op == "conv2d") {
    return of(PatternKind::conv, node.attr<Conv2dAttrs>(), in(0), in(1), out);
  }
  if (op == "conv2d_dgrad") {
    return of(PatternKind::dgrad, node.attr<Conv2dGradAttrs>().conv, out, in(1), in(0));
  }
  if (op == "conv2d_wgrad") {
    return of(PatternKind::wgrad, node.attr<Conv2dGradAttrs>().conv, in(0), out, in(1));
  }
  if (op == "conv2d_bias_act") {
    const auto& attrs = node.attr<ConvBiasActAttrs>();
    if (!has_activation(attrs.activation)) return std::nullopt;
    pattern.activation = attrs.activation;
    pattern.residual = node.inputs.size() == 4;
    return of(PatternKind::conv_bias_act, attrs.conv, in(0), in(1), out);
  }
  if (pattern.dtype != DType::f16) return std::nullopt;  // the chain's kernels are all f16
  if (op == "conv2d_stats") {
    return of(PatternKind::conv_stats, node.attr<Conv2dAttrs>(), in(0), in(1), out);
  }
  if (op == "scale_bias_relu_conv2d_stats") {
    return of(PatternKind::scale_relu_conv_stats, node.attr<Conv2dAttrs>(), in(0), in(3), out);
  }
  if (op == "scale_bias_relu_conv2d_wgrad") {
    const auto& attrs = node.attr<Conv2dGradAttrs>();
    return of(PatternKind::scale_relu_wgrad, attrs.conv, in(0), out, in(3));
  }
  if (op == "conv2d_dgrad_relu_norm") {
    const auto& attrs = node.attr<Conv2dDgradNormAttrs>();
    return of(PatternKind::dgrad_relu_norm, attrs.conv, out, in(1), in(0));
  }
  return std::nullopt;
}

}  // namespace kd::cuda
