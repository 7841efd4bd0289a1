// From one ONNX node to ours.
#include <algorithm>
#include <cmath>
#include <limits>

#include "io/onnx/layers.h"
#include "kd/error.h"

namespace kd::onnx_import {
namespace {

constexpr std::array<int64_t, 4> kNhwcAxis{0, 3, 1, 2};  // of the NCHW axes

int64_t nchw_axis(const onnx::NodeProto& node, int64_t axis) {
  if (axis < 0) axis += 4;
  KD_CHECK(axis >= 0 && axis < 4, "{}: axis {} of rank 4", label(node), axis);
  return axis;
}

Value activation_of(Lowering& l, const onnx::NodeProto& node, Activation kind) {
  Attributes attributes(node);
  if (kind == Activation::hard_sigmoid) {
    const double alpha = attributes.real("alpha", 0.2), beta = attributes.real("beta", 0.5);
    KD_CHECK(std::abs(alpha - 1.0 / 6) < 1e-6 && beta == 0.5,
             "{}: alpha {} and beta {}, expected 1/6 and 1/2", label(node), alpha, beta);
  }
  attributes.finish();
  return activation(l.graph(), l.tensor(node, 0), kind, node.name());
}

Value clip(Lowering& l, const onnx::NodeProto& node) {
  Attributes attributes(node);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double low = attributes.real("min", -kInfinity), high = attributes.real("max", kInfinity);
  if (l.has(node, 1)) low = l.constant(node, 1).values.at(0);
  if (l.has(node, 2)) high = l.constant(node, 2).values.at(0);
  attributes.finish();
  KD_CHECK(low == 0 && (high == 6 || high >= 3e38), "{}: bounds {} and {}, expected 0 and 6",
           label(node), low, high);
  return activation(l.graph(), l.tensor(node, 0), high == 6 ? Activation::relu6 : Activation::relu,
                    node.name());
}

// A constant operand of a pointwise op: one number, or one a channel.
Value pointwise(Lowering& l, const onnx::NodeProto& node) {
  const bool product = node.op_type() == "Mul";
  int a = 0, b = 1;
  if (l.entry(node, 0).constant) std::swap(a, b);
  const Value x = l.tensor(node, a);
  if (!l.entry(node, b).constant) {
    const Value y = l.tensor(node, b);
    const auto &p = l.entry(node, a).flattened, &q = l.entry(node, b).flattened;
    KD_CHECK(l.graph().shape(x).rank() == l.graph().shape(y).rank() && p == q,
             "{}: operands of different rank", label(node));
    return product ? mul(l.graph(), x, y, node.name()) : add(l.graph(), x, y, node.name());
  }
  const Array& c = l.constant(node, b);
  if (c.values.size() == 1) {
    return product ? affine(l.graph(), x, c.values[0], 0, node.name())
                   : affine(l.graph(), x, 1, c.values[0], node.name());
  }
  const Shape shape = l.graph().shape(x);
  const int64_t channels = shape[shape.rank() - 1];
  const bool image = shape.rank() == 4;
  const bool by_channel = static_cast<int64_t>(c.values.size()) == channels &&
                          l.entry(node, a).flattened == std::array<int64_t, 3>{} &&
                          (image ? c.dims.size() >= 3 && c.dims[c.dims.size() - 3] == channels
                                 : c.dims.back() == channels);
  KD_CHECK(by_channel, "{}: a constant that is neither one number nor one a channel", label(node));
  const Value vector = l.parameter(node, b, {channels}, c.values);
  return product ? mul(l.graph(), x, vector, node.name()) : add(l.graph(), x, vector, node.name());
}

Value concat_tensors(Lowering& l, const onnx::NodeProto& node) {
  Attributes attributes(node);
  const int64_t axis = nchw_axis(node, attributes.integer("axis", 1));
  attributes.finish();
  std::vector<Value> parts;
  for (int i = 0; i < node.input_size(); ++i) parts.push_back(l.image(node, i));
  return concat(l.graph(), parts, static_cast<int>(kNhwcAxis[static_cast<size_t>(axis)]),
                node.name());
}

Value slice_tensor(Lowering& l, const onnx::NodeProto& node) {
  const Value x = l.image(node, 0);
  Attributes attributes(node);
  const bool inputs = node.input_size() > 1;
  const auto list = [&](int i, const char* name, std::vector<int64_t> fallback) {
    if (inputs) return l.has(node, i) ? l.constant(node, i).integers() : fallback;
    return attributes.integers(name, std::move(fallback));
  };
  const auto starts = list(1, "starts", {}), ends = list(2, "ends", {});
  std::vector<int64_t> all;
  for (size_t i = 0; i < starts.size(); ++i) all.push_back(static_cast<int64_t>(i));
  const auto axes = list(3, "axes", all);
  const auto steps = list(4, "steps", std::vector<int64_t>(starts.size(), 1));
  attributes.finish();
  KD_CHECK(
      ends.size() == starts.size() && axes.size() == starts.size() && steps.size() == starts.size(),
      "{}: starts, ends, axes and steps differ in length", label(node));
  SliceAttrs attrs;
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t axis = kNhwcAxis[static_cast<size_t>(nchw_axis(node, axes[i]))];
    const int64_t size = l.graph().shape(x)[static_cast<int>(axis)];
    const auto bound = [&](int64_t v) {
      return std::clamp(v < 0 ? v + size : v, int64_t{0}, size);
    };
    KD_CHECK(steps[i] > 0, "{}: a step of {} is not supported", label(node), steps[i]);
    const int64_t begin = bound(starts[i]), end = bound(ends[i]);
    if (begin == 0 && end == size && steps[i] == 1) continue;
    KD_CHECK(axis != 0, "{}: slices of the batch are not supported", label(node));
    attrs.axes.push_back(axis);
    attrs.begin.push_back(begin);
    attrs.end.push_back(end);
    attrs.step.push_back(steps[i]);
  }
  return attrs.axes.empty() ? x : slice(l.graph(), x, attrs, node.name());
}

Value pad_tensor(Lowering& l, const onnx::NodeProto& node) {
  const Value x = l.image(node, 0);
  Attributes attributes(node);
  const std::string mode = attributes.text("mode", "constant");
  double value = attributes.real("value", 0);
  if (l.has(node, 2)) value = l.constant(node, 2).values.at(0);
  KD_CHECK(mode == "constant" && value == 0 && !l.has(node, 3), "{}: only zero padding of all axes",
           label(node));
  const auto pads =
      l.has(node, 1) ? l.constant(node, 1).integers() : attributes.integers("pads", {});
  attributes.finish();
  KD_CHECK(pads.size() == 8, "{}: {} pads, expected 8", label(node), pads.size());
  PadAttrs attrs;
  for (size_t axis = 0; axis < 4; ++axis) {
    if (pads[axis] == 0 && pads[axis + 4] == 0) continue;
    KD_CHECK(axis != 0, "{}: padding of the batch is not supported", label(node));
    attrs.axes.push_back(kNhwcAxis[axis]);
    attrs.before.push_back(pads[axis]);
    attrs.after.push_back(pads[axis + 4]);
  }
  return attrs.axes.empty() ? x : pad(l.graph(), x, attrs, node.name());
}

// (N, C, H, W) -> (N, C H W), remembering that our columns are in another order.
Entry flattened(Lowering& l, const onnx::NodeProto& node, Value x) {
  const Shape s = l.graph().shape(x);
  if (s.rank() == 2) return {{}, x, l.entry(node, 0).flattened};
  Entry entry{{}, flatten(l.graph(), x, node.name()), {}};
  if (s[1] * s[2] > 1) entry.flattened = {s[3], s[1], s[2]};
  return entry;
}

Entry reshape_tensor(Lowering& l, const onnx::NodeProto& node) {
  const Value x = l.tensor(node, 0);
  const auto dims = l.constant(node, 1).integers();
  const Shape s = l.graph().shape(x);
  const int64_t columns = s.elements();  // the batch is 1 here
  const bool to_matrix = dims.size() == 2 && (dims[0] == -1 || dims[0] == 0 || dims[0] == 1) &&
                         (dims[1] == -1 || dims[1] == columns);
  KD_CHECK(to_matrix, "{}: only (N, C, H, W) to (N, C H W) is supported", label(node));
  return flattened(l, node, x);
}

Entry flatten_tensor(Lowering& l, const onnx::NodeProto& node) {
  Attributes attributes(node);
  const int64_t axis = attributes.integer("axis", 1);
  attributes.finish();
  KD_CHECK(axis == 1, "{}: axis {}, expected 1", label(node), axis);
  return flattened(l, node, l.tensor(node, 0));
}

Entry squeeze_tensor(Lowering& l, const onnx::NodeProto& node) {
  const Shape s = l.graph().shape(l.image(node, 0));
  KD_CHECK(s[1] == 1 && s[2] == 1, "{}: only (N, C, 1, 1) to (N, C) is supported", label(node));
  return flattened(l, node, l.image(node, 0));
}

Entry reduce_mean(Lowering& l, const onnx::NodeProto& node) {
  const Value x = l.image(node, 0);
  Attributes attributes(node);
  auto axes = l.has(node, 1) ? l.constant(node, 1).integers() : attributes.integers("axes", {});
  const bool keep = attributes.integer("keepdims", 1) != 0;
  attributes.finish();
  for (int64_t& axis : axes) axis = nchw_axis(node, axis);
  std::ranges::sort(axes);
  KD_CHECK((axes == std::vector<int64_t>{2, 3}), "{}: only the mean over H and W is supported",
           label(node));
  const Value y = global_avg_pool(l.graph(), x, node.name());
  return keep ? Entry{{}, y, {}} : flattened(l, node, y);
}

Entry shape_of(Lowering& l, const onnx::NodeProto& node) {
  std::vector<double> dims;
  if (const auto& constant = l.entry(node, 0).constant) {
    dims.assign(constant->dims.begin(), constant->dims.end());
  } else {
    const Shape s = l.graph().shape(l.tensor(node, 0));
    for (int axis = 0; axis < s.rank(); ++axis) {
      const int64_t at = s.rank() == 4 ? kNhwcAxis[static_cast<size_t>(axis)] : axis;
      dims.push_back(static_cast<double>(s[static_cast<int>(at)]));
    }
  }
  return {Array{{static_cast<int64_t>(dims.size())}, dims, true}, {}, {}};
}

Entry lowered(Lowering& l, const onnx::NodeProto& node) {
  const std::string& op = node.op_type();
  const auto plain = [](Value v) { return Entry{{}, v, {}}; };
  if (op == "Conv") return plain(conv(l, node));
  if (op == "BatchNormalization") return plain(batch_normalization(l, node));
  if (op == "Relu") return plain(activation_of(l, node, Activation::relu));
  if (op == "Sigmoid") return plain(activation_of(l, node, Activation::sigmoid));
  if (op == "HardSwish") return plain(activation_of(l, node, Activation::hard_swish));
  if (op == "HardSigmoid") return plain(activation_of(l, node, Activation::hard_sigmoid));
  if (op == "Clip") return plain(clip(l, node));
  if (op == "MaxPool" || op == "AveragePool") return plain(pool(l, node));
  if (op == "GlobalAveragePool")
    return plain(global_avg_pool(l.graph(), l.image(node, 0), node.name()));
  if (op == "ReduceMean") return reduce_mean(l, node);
  if (op == "Add" || op == "Mul") return plain(pointwise(l, node));
  if (op == "Gemm") return plain(gemm(l, node));
  if (op == "MatMul") return plain(matmul(l, node));
  if (op == "Flatten") return flatten_tensor(l, node);
  if (op == "Reshape") return reshape_tensor(l, node);
  if (op == "Squeeze") return squeeze_tensor(l, node);
  if (op == "Pad") return plain(pad_tensor(l, node));
  if (op == "Slice") return plain(slice_tensor(l, node));
  if (op == "Concat") return plain(concat_tensors(l, node));
  if (op == "Shape") return shape_of(l, node);
  if (op == "Identity" || op == "Dropout") return l.entry(node, 0);
  fail(ErrorCode::input, "{}: this operator is not supported", label(node));
}

// Ops that may change the columns of a flattened image in ways that the next layer would misread.
bool keeps_columns(const std::string& op) {
  return op == "Relu" || op == "Identity" || op == "Dropout" || op == "Sigmoid" || op == "Clip";
}

}  // namespace

void lower(Lowering& l, const onnx::NodeProto& node) {
  Entry entry;
  const bool is_shape = node.op_type() == "Shape";
  std::optional<Array> folded;
  if (!is_shape && l.all_constant(node)) folded = fold(node, l.constants(node));
  if (folded) {
    entry.constant = std::move(folded);
  } else {
    entry = lowered(l, node);
    if (keeps_columns(node.op_type())) entry.flattened = l.entry(node, 0).flattened;
  }
  KD_CHECK(node.output_size() >= 1, "{}: no output", label(node));
  l.define(node.output(0), std::move(entry));
}

}  // namespace kd::onnx_import
