// What moves elements: mostly another view of the same value.
#include <algorithm>
#include <numeric>

#include "io/onnx/fold.h"
#include "io/onnx/operators.h"
#include "kd/error.h"

namespace kd::onnx_import {
namespace {

void define_view(Lowering& l, const onnx::NodeProto& node, View view, int output = 0) {
  Entry entry;
  entry.view = std::move(view);
  l.define(node.output(output), std::move(entry));
}

// Reshapes keep a softmax one.
void define_same(Lowering& l, const onnx::NodeProto& node, View view) {
  Entry entry;
  entry.before_softmax = l.entry(node, 0).before_softmax;
  entry.view = std::move(view);
  l.define(node.output(0), std::move(entry));
}

// The view with each of its axes one of the value's, and where ONNX's `axis` lies there.
struct Straight {
  std::vector<int> order;
  Value value;
  int place(int axis) const {
    return static_cast<int>(std::ranges::find(order, axis) - order.begin());
  }
};
Straight straight(Lowering& l, const onnx::NodeProto& node, const View& view) {
  Straight s{l.natural_order(view), {}};
  s.value = l.arrange(node, view, s.order);
  return s;
}

SliceAttrs one_slice(int place, int64_t begin, int64_t end, int64_t step = 1) {
  return {{place}, {begin}, {end}, {step}};
}

// The elements `indices` along `axis`, in that order.
View take(Lowering& l, const onnx::NodeProto& node, const View& view, int axis,
          const std::vector<int64_t>& indices) {
  KD_CHECK(!l.options().batched || axis != 0, "{}: it picks from the batch", label(node));
  KD_CHECK(!indices.empty() && indices.size() <= 4096, "{}: {} indices", label(node),
           indices.size());
  const Straight s = straight(l, node, view);
  const int place = s.place(axis);
  const int64_t step = indices.size() > 1 ? indices[1] - indices[0] : 1;
  bool even = step >= 1;
  for (size_t i = 1; i < indices.size(); ++i) even = even && indices[i] - indices[i - 1] == step;
  Graph& g = l.graph();
  if (even) {
    const SliceAttrs attrs = one_slice(place, indices.front(), indices.back() + 1, step);
    const bool whole = step == 1 && static_cast<int64_t>(indices.size()) == g.shape(s.value)[place];
    return whole ? view : l.ordered_view(slice(g, s.value, attrs, node.name()), s.order);
  }
  std::vector<Value> parts;
  for (const int64_t at : indices) {
    parts.push_back(slice(g, s.value, one_slice(place, at, at + 1), node.name()));
  }
  return l.ordered_view(concat(g, parts, place, node.name()), s.order);
}

}  // namespace

void lower_reshape(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  Attributes attributes(node);
  const bool allow_zero = attributes.integer("allowzero", 0) != 0;
  const std::vector<int64_t> to = l.list(node, 1, attributes, "shape");
  attributes.finish();
  define_same(l, node, l.reshaped(node, view, resolved_shape(node, l.dims(view), to, allow_zero)));
}

void lower_flatten(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  const std::vector<int64_t> dims = l.dims(view);
  Attributes attributes(node);
  const int64_t axis = attributes.integer("axis", 1);
  attributes.finish();
  const int64_t at = axis < 0 ? axis + std::ssize(dims) : axis;
  KD_CHECK(at >= 0 && at <= std::ssize(dims), "{}: axis {} of rank {}", label(node), axis,
           dims.size());
  int64_t before = 1, after = 1;
  for (int64_t i = 0; i < std::ssize(dims); ++i) {
    (i < at ? before : after) *= dims[static_cast<size_t>(i)];
  }
  define_same(l, node, l.reshaped(node, view, {before, after}));
}

void lower_squeeze(Lowering& l, const onnx::NodeProto& node) {
  View view = l.view(node, 0);
  const std::vector<int64_t> dims = l.dims(view);
  Attributes attributes(node);
  std::vector<int> axes = axes_of(node, l.list(node, 1, attributes, "axes"), dims.size());
  attributes.finish();
  if (axes.empty()) {
    for (int i = l.options().batched ? 1 : 0; i < static_cast<int>(dims.size()); ++i) {
      if (dims[static_cast<size_t>(i)] == 1) axes.push_back(i);
    }
  }
  for (size_t i = axes.size(); i-- > 0;) {
    const auto at = static_cast<size_t>(axes[i]);
    KD_CHECK(dims[at] == 1 && (at != 0 || !l.options().batched),
             "{}: axis {} has {} elements, expected 1 and not the batch", label(node), at,
             dims[at]);
    view.axes.erase(view.axes.begin() + axes[i]);
  }
  define_same(l, node, view);
}

void lower_unsqueeze(Lowering& l, const onnx::NodeProto& node) {
  View view = l.view(node, 0);
  Attributes attributes(node);
  const std::vector<int64_t> axes = l.list(node, 1, attributes, "axes");
  attributes.finish();
  for (const int axis : axes_of(node, axes, view.axes.size() + axes.size())) {
    view.axes.insert(view.axes.begin() + axis, std::vector<int>{});
  }
  define_same(l, node, view);
}

void lower_transpose(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  std::vector<int64_t> reversed;
  for (int64_t i = std::ssize(view.axes); i-- > 0;) reversed.push_back(i);
  Attributes attributes(node);
  const std::vector<int64_t> order = attributes.integers("perm", reversed);
  attributes.finish();
  KD_CHECK(axes_of(node, order, view.axes.size()).size() == view.axes.size(),
           "{}: perm has {} axes of {}", label(node), order.size(), view.axes.size());
  View moved{view.value, {}};
  for (const int64_t axis : order) {
    moved.axes.push_back(view.axes[static_cast<size_t>(axis_of(node, axis, view.axes.size()))]);
  }
  define_view(l, node, moved);
}

void lower_concat(Lowering& l, const onnx::NodeProto& node) {
  Attributes attributes(node);
  const int64_t given = attributes.integer("axis", 1);
  attributes.finish();
  const View first = l.view(node, 0);
  const int axis = axis_of(node, given, first.axes.size());
  KD_CHECK(!l.options().batched || axis != 0, "{}: along the batch", label(node));
  const std::vector<int> order = l.natural_order(first);
  std::vector<Value> parts;
  for (int i = 0; i < node.input_size(); ++i) {
    const View& part = l.view(node, i);
    KD_CHECK(part.axes.size() == first.axes.size(), "{}: parts of different rank", label(node));
    parts.push_back(l.arrange(node, part, order));
  }
  const auto place = static_cast<int>(std::ranges::find(order, axis) - order.begin());
  define_view(l, node, l.ordered_view(concat(l.graph(), parts, place, node.name()), order));
}

void lower_slice(Lowering& l, const onnx::NodeProto& node) {
  View view = l.view(node, 0);
  Attributes attributes(node);
  SliceBounds bounds{attributes.integers("starts", {}),
                     attributes.integers("ends", {}),
                     attributes.integers("axes", {}),
                     {}};
  attributes.finish();
  const auto list = [&](int i) {
    return l.has(node, i) ? l.constant(node, i).as_integers() : std::vector<int64_t>{};
  };
  if (node.input_size() > 1) bounds = {list(1), list(2), list(3), list(4)};
  const std::vector<int64_t> dims = l.dims(view);
  const std::vector<Range> ranges = sliced_ranges(node, dims, bounds);
  for (size_t axis = 0; axis < ranges.size(); ++axis) {
    const Range& range = ranges[axis];
    if (range.begin == 0 && range.step == 1 && range.size == dims[axis]) continue;
    KD_CHECK(range.size > 0, "{}: nothing of axis {} is left", label(node), axis);
    if (range.step > 0 && (axis > 0 || !l.options().batched)) {
      const Straight s = straight(l, node, view);
      const int64_t end = range.begin + (range.size - 1) * range.step + 1;
      const SliceAttrs attrs =
          one_slice(s.place(static_cast<int>(axis)), range.begin, end, range.step);
      view = l.ordered_view(slice(l.graph(), s.value, attrs, node.name()), s.order);
      continue;
    }
    std::vector<int64_t> indices;
    for (int64_t i = 0; i < range.size; ++i) indices.push_back(range.begin + i * range.step);
    view = take(l, node, view, static_cast<int>(axis), indices);
  }
  define_view(l, node, view);
}

void lower_split(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  Attributes attributes(node);
  const int axis = axis_of(node, attributes.integer("axis", 0), view.axes.size());
  const std::vector<int64_t> given = l.list(node, 1, attributes, "split");
  const int64_t parts = attributes.integer("num_outputs", node.output_size());
  attributes.finish();
  KD_CHECK(!l.options().batched || axis != 0, "{}: it splits the batch", label(node));
  const Straight s = straight(l, node, view);
  const int64_t size = l.dims(view)[static_cast<size_t>(axis)];
  int64_t begin = 0;
  int output = 0;
  for (const int64_t part : split_sizes(node, size, given, parts)) {
    KD_CHECK(part > 0, "{}: an empty part", label(node));
    const SliceAttrs attrs = one_slice(s.place(axis), begin, begin + part);
    define_view(l, node, l.ordered_view(slice(l.graph(), s.value, attrs, node.name()), s.order),
                output++);
    begin += part;
  }
}

void lower_gather(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  Attributes attributes(node);
  const int axis = axis_of(node, attributes.integer("axis", 0), view.axes.size());
  attributes.finish();
  const Array index = l.constant(node, 1);
  KD_CHECK(index.dims.size() <= 1, "{}: indices of rank {}, expected 0 or 1", label(node),
           index.dims.size());
  const int64_t size = l.dims(view)[static_cast<size_t>(axis)];
  std::vector<int64_t> indices = index.as_integers();
  for (int64_t& at : indices) {
    if (at < 0) at += size;
    KD_CHECK(at >= 0 && at < size, "{}: index {} of {}", label(node), at, size);
  }
  View taken = take(l, node, view, axis, indices);
  if (index.dims.empty()) taken.axes.erase(taken.axes.begin() + axis);
  define_view(l, node, taken);
}

void lower_pad(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  const size_t rank = view.axes.size();
  Attributes attributes(node);
  const std::string mode = attributes.text("mode", "constant");
  double value = attributes.real("value", 0);
  std::vector<int64_t> pads = attributes.integers("pads", attributes.integers("paddings", {}));
  attributes.finish();
  if (l.has(node, 1)) pads = l.constant(node, 1).as_integers();
  if (l.has(node, 2)) value = l.constant(node, 2).at(0);
  KD_CHECK(mode == "constant" && value == 0, "{}: only padding with zeros is supported",
           label(node));
  std::vector<int> axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  if (l.has(node, 3)) {
    axes.clear();
    for (const int64_t axis : l.constant(node, 3).as_integers()) {
      axes.push_back(axis_of(node, axis, rank));
    }
  }
  KD_CHECK(pads.size() == 2 * axes.size(), "{}: {} pads for {} axes", label(node), pads.size(),
           axes.size());
  const Straight s = straight(l, node, view);
  PadAttrs attrs;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t before = pads[i], after = pads[i + axes.size()];
    if (before == 0 && after == 0) continue;
    KD_CHECK(before >= 0 && after >= 0 && before < 1 << 20 && after < 1 << 20,
             "{}: padding of {} and {}", label(node), before, after);
    KD_CHECK(axes[i] != 0 || !l.options().batched, "{}: padding of the batch", label(node));
    attrs.axes.push_back(s.place(axes[i]));
    attrs.before.push_back(before);
    attrs.after.push_back(after);
  }
  const Value y = attrs.axes.empty() ? s.value : pad(l.graph(), s.value, attrs, node.name());
  define_view(l, node, l.ordered_view(y, s.order));
}

void lower_expand(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  const std::vector<int64_t> dims = l.dims(view);
  KD_CHECK(broadcast_dims(node, dims, l.constant(node, 1).as_integers()) == dims,
           "{}: only expanding to the same shape is supported", label(node));
  define_same(l, node, view);
}

void lower_shape(Lowering& l, const onnx::NodeProto& node) {
  // Of the names' sizes alone: Shape of a constant of these dimensions.
  const Array of = Array::filled(l.dims(l.view(node, 0)), 0, false);
  const FoldCall call{node, {&of}, l.options().opset, Attributes(node)};
  Entry entry;
  entry.constant = std::move(fold(call)->front());
  l.define(node.output(0), std::move(entry));
}

void lower_identity(Lowering& l, const onnx::NodeProto& node) {
  if (node.op_type() == "Dropout") {
    l.leave_out(node, 1, "the mask");
    KD_CHECK(!l.has(node, 2) || l.constant(node, 2).at(0) == 0,
             "{}: training_mode is not supported", label(node));
  }
  define_same(l, node, l.view(node, 0));
}

// Activations are f32 here: a narrower type rounds them, once.
void lower_cast(Lowering& l, const onnx::NodeProto& node) {
  Attributes attributes(node);
  const auto to = static_cast<int>(attributes.integer("to", onnx::TensorProto::FLOAT));
  KD_CHECK(!is_integer_type(to), "{}: activations in whole numbers are not supported", label(node));
  View view = l.view(node, 0);
  const bool half = to == onnx::TensorProto::FLOAT16;
  if (half || to == onnx::TensorProto::BFLOAT16) {
    const Value rounded = cast(l.graph(), view.value, half ? DType::f16 : DType::bf16, node.name());
    view.value = cast(l.graph(), rounded, DType::f32, node.name());
  }
  define_same(l, node, view);
}

// Pairs of these simulate integers on activations; the engine computes in floats instead.
void lower_quantize(Lowering& l, const onnx::NodeProto& node) {
  l.note("activations that the file quantises are left in floats: logits differ a little");
  Entry entry;
  entry.view = l.view(node, 0);
  entry.quantised = true;
  l.define(node.output(0), std::move(entry));
}

void lower_dequantize(Lowering& l, const onnx::NodeProto& node) {
  const Entry& from = l.entry(node, 0);
  KD_CHECK(from.quantised, "{}: input 0 is a tensor of integers", label(node));
  Entry entry;
  entry.view = from.view;
  l.define(node.output(0), std::move(entry));
}

}  // namespace kd::onnx_import
