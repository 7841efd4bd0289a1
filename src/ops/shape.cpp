// Ops that move elements and compute nothing: reshape, stop_gradient, transpose, concat, slice,
// pad, channel shuffle.
#include <algorithm>

#include "ops/common.h"

namespace kd {
namespace {

std::vector<TensorDesc> infer_reshape(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const TensorDesc& x = in_desc(graph, node, 0);
  std::vector<int64_t> dims = node.attr<DimsAttrs>().dims;
  int64_t known = 1;
  for (const int64_t size : dims) {
    KD_CHECK(!__builtin_mul_overflow(known, size == -1 ? 1 : size, &known),
             "{}: the new shape overflows", label(node));
  }
  const auto open = std::ranges::count(dims, -1);
  KD_CHECK(open <= 1 && known > 0, "{}: the new shape may hold one -1 and nothing else below 1",
           label(node));
  if (open == 1) *std::ranges::find(dims, -1) = x.shape.elements() / known;
  const Shape y{std::span<const int64_t>(dims)};
  KD_CHECK(y.elements() == x.shape.elements(), "{}: {} can't be seen as {}", label(node), x.shape,
           y);
  return {{x.dtype, y}};
}

void vjp_reshape(Graph& graph, const Node& node, Grads& grads) {
  const auto dims = graph.shape(node.inputs[0]).dims();
  std::vector<int64_t> back(dims.begin(), dims.end());
  if (!back.empty()) back[0] = -1;
  grads.add(node.inputs[0], reshape(graph, grads.of(node.outputs[0]), std::move(back), node.name));
}

int checked_axis(const Node& node, int64_t axis, const Shape& x) {
  KD_CHECK(axis >= 0 && axis < x.rank(), "{}: axis {} of a tensor {}", label(node), axis, x);
  return static_cast<int>(axis);
}

std::vector<TensorDesc> infer_stop(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  return infer_like_first(graph, node);
}

void vjp_stop(Graph&, const Node&, Grads&) {}

std::vector<TensorDesc> infer_transpose(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const TensorDesc& x = in_desc(graph, node, 0);
  const auto& axes = node.attr<PermuteAttrs>().axes;
  KD_CHECK(static_cast<int>(axes.size()) == x.shape.rank(), "{}: {} axes for a tensor {}",
           label(node), axes.size(), x.shape);
  TensorDesc y = x;
  for (size_t i = 0; i < axes.size(); ++i) {
    KD_CHECK(std::ranges::count(axes, axes[i]) == 1, "{}: axis {} twice", label(node), axes[i]);
    y.shape.set(static_cast<int>(i), x.shape[checked_axis(node, axes[i], x.shape)]);
  }
  return {y};
}

void vjp_transpose(Graph& graph, const Node& node, Grads& grads) {
  const auto axes = node.attr<PermuteAttrs>().axes;
  std::vector<int64_t> back(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    back[static_cast<size_t>(axes[i])] = static_cast<int64_t>(i);
  }
  grads.add(node.inputs[0],
            transpose(graph, grads.of(node.outputs[0]), std::move(back), node.name));
}

std::vector<TensorDesc> infer_concat(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1u << 16);
  TensorDesc y = in_desc(graph, node, 0);
  const int axis = checked_axis(node, node.attr<AxisAttrs>().axis, y.shape);
  int64_t total = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    Shape part = in_desc(graph, node, i).shape;
    KD_CHECK(part.rank() == y.shape.rank(), "{}: parts {} and {}", label(node), y.shape, part);
    total += part[axis];
    expect_dtype(graph, node, i, y.dtype);
    part.set(axis, y.shape[axis]);
    KD_CHECK(part == y.shape, "{}: parts {} and {} differ off axis {}", label(node), y.shape,
             in_desc(graph, node, i).shape, axis);
  }
  y.shape.set(axis, total);
  return {y};
}

void vjp_concat(Graph& graph, const Node& node, Grads& grads) {
  const int axis = node.attr<AxisAttrs>().axis;
  const Value dy = grads.of(node.outputs[0]);
  int64_t begin = 0;
  for (const Value part : node.inputs) {
    const int64_t end = begin + graph.shape(part)[axis];
    if (grads.needs(part)) {
      grads.add(part, slice(graph, dy, {{axis}, {begin}, {end}, {1}}, node.name));
    }
    begin = end;
  }
}

Shape sliced_shape(const Node& node, const SliceAttrs& attrs, Shape x) {
  KD_CHECK(attrs.begin.size() == attrs.axes.size() && attrs.end.size() == attrs.axes.size() &&
               attrs.step.size() == attrs.axes.size(),
           "{}: axes, begin, end and step differ in length", label(node));
  for (size_t i = 0; i < attrs.axes.size(); ++i) {
    const int axis = checked_axis(node, attrs.axes[i], x);
    const int64_t begin = attrs.begin[i], end = attrs.end[i], step = attrs.step[i];
    KD_CHECK(0 <= begin && begin < end && end <= x[axis] && step >= 1,
             "{}: the slice {}:{}:{} of axis {} of {}", label(node), begin, end, step, axis, x);
    x.set(axis, (end - begin - 1) / step + 1);
  }
  return x;
}

std::vector<TensorDesc> infer_slice(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const TensorDesc& x = in_desc(graph, node, 0);
  return {{x.dtype, sliced_shape(node, node.attr<SliceAttrs>(), x.shape)}};
}

void vjp_slice(Graph& graph, const Node& node, Grads& grads) {
  SliceGradAttrs attrs{node.attr<SliceAttrs>(), {}};
  for (const int64_t axis : attrs.slice.axes) {
    attrs.extent.push_back(graph.shape(node.inputs[0])[static_cast<int>(axis)]);
  }
  grads.add(node.inputs[0],
            graph.add(op_slice_backward, {grads.of(node.outputs[0])}, attrs, node.name)[0]);
}

std::vector<TensorDesc> infer_slice_backward(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const auto& attrs = node.attr<SliceGradAttrs>();
  const TensorDesc& dy = in_desc(graph, node, 0);
  KD_CHECK(attrs.extent.size() == attrs.slice.axes.size(), "{}: axes and extent differ in length",
           label(node));
  Shape x = dy.shape;
  for (size_t i = 0; i < attrs.extent.size(); ++i) {
    x.set(checked_axis(node, attrs.slice.axes[i], x), attrs.extent[i]);
  }
  KD_CHECK(sliced_shape(node, attrs.slice, x) == dy.shape,
           "{}: gradient {} does not belong to an input {}", label(node), dy.shape, x);
  return {{dy.dtype, x}};
}

std::vector<TensorDesc> infer_pad(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const auto& attrs = node.attr<PadAttrs>();
  TensorDesc y = in_desc(graph, node, 0);
  KD_CHECK(attrs.before.size() == attrs.axes.size() && attrs.after.size() == attrs.axes.size(),
           "{}: axes, before and after differ in length", label(node));
  for (size_t i = 0; i < attrs.axes.size(); ++i) {
    const int axis = checked_axis(node, attrs.axes[i], y.shape);
    KD_CHECK(attrs.before[i] >= 0 && attrs.after[i] >= 0, "{}: negative padding {}, {}",
             label(node), attrs.before[i], attrs.after[i]);
    int64_t size = y.shape[axis];
    for (const int64_t extra : {attrs.before[i], attrs.after[i]}) {
      KD_CHECK(!__builtin_add_overflow(size, extra, &size), "{}: padding overflows", label(node));
    }
    y.shape.set(axis, size);
  }
  return {y};
}

void vjp_pad(Graph& graph, const Node& node, Grads& grads) {
  const auto attrs = node.attr<PadAttrs>();
  SliceAttrs inner{attrs.axes, attrs.before, {}, std::vector<int64_t>(attrs.axes.size(), 1)};
  for (size_t i = 0; i < attrs.axes.size(); ++i) {
    inner.end.push_back(attrs.before[i] +
                        graph.shape(node.inputs[0])[static_cast<int>(attrs.axes[i])]);
  }
  grads.add(node.inputs[0], slice(graph, grads.of(node.outputs[0]), inner, node.name));
}

std::vector<TensorDesc> infer_shuffle(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  expect_float(graph, node, 0, 4);
  const TensorDesc& x = in_desc(graph, node, 0);
  const int groups = node.attr<ShuffleAttrs>().groups;
  KD_CHECK(groups >= 1 && x.shape[3] % groups == 0, "{}: {} channels in {} groups", label(node),
           x.shape[3], groups);
  return {x};
}

void vjp_shuffle(Graph& graph, const Node& node, Grads& grads) {
  const auto channels = static_cast<int>(graph.shape(node.inputs[0])[3]);
  grads.add(node.inputs[0],
            channel_shuffle(graph, grads.of(node.outputs[0]),
                            channels / node.attr<ShuffleAttrs>().groups, node.name));
}

}  // namespace

const OpDef op_reshape{"reshape", OpKind::base, infer_reshape, vjp_reshape, nullptr, copy_cost};
const OpDef op_stop_gradient{"stop_gradient", OpKind::base, infer_stop,        vjp_stop,
                             nullptr,         copy_cost,    Alias::in_place(0)};
const OpDef op_transpose{"transpose",   OpKind::base, infer_transpose,
                         vjp_transpose, nullptr,      copy_cost};
const OpDef op_concat{"concat", OpKind::base, infer_concat, vjp_concat, nullptr, copy_cost};
const OpDef op_slice{"slice", OpKind::base, infer_slice, vjp_slice, nullptr, copy_cost};
const OpDef op_slice_backward{"slice_backward", OpKind::base, infer_slice_backward,
                              nullptr,          nullptr,      copy_cost};
const OpDef op_pad{"pad", OpKind::base, infer_pad, vjp_pad, nullptr, copy_cost};
const OpDef op_channel_shuffle{"channel_shuffle", OpKind::base, infer_shuffle,
                               vjp_shuffle,       nullptr,      copy_cost};

Value reshape(Graph& graph, Value x, std::vector<int64_t> dims, std::string name) {
  return graph.add(op_reshape, {x}, DimsAttrs{std::move(dims)}, std::move(name))[0];
}
Value stop_gradient(Graph& graph, Value x, std::string name) {
  return graph.add(op_stop_gradient, {x}, NoAttrs{}, std::move(name))[0];
}
Value transpose(Graph& graph, Value x, std::vector<int64_t> axes, std::string name) {
  return graph.add(op_transpose, {x}, PermuteAttrs{std::move(axes)}, std::move(name))[0];
}
Value flatten(Graph& graph, Value x, std::string name) {
  const Shape shape = graph.shape(x);
  int64_t rest = 1;
  for (int axis = 1; axis < shape.rank(); ++axis) rest *= shape[axis];
  return reshape(graph, x, {-1, rest}, std::move(name));
}
Value concat(Graph& graph, std::vector<Value> xs, int axis, std::string name) {
  return graph.add(op_concat, std::move(xs), AxisAttrs{axis}, std::move(name))[0];
}
Value slice(Graph& graph, Value x, const SliceAttrs& attrs, std::string name) {
  return graph.add(op_slice, {x}, attrs, std::move(name))[0];
}
Value pad(Graph& graph, Value x, const PadAttrs& attrs, std::string name) {
  return graph.add(op_pad, {x}, attrs, std::move(name))[0];
}
Value channel_shuffle(Graph& graph, Value x, int groups, std::string name) {
  return graph.add(op_channel_shuffle, {x}, ShuffleAttrs{groups}, std::move(name))[0];
}

}  // namespace kd
