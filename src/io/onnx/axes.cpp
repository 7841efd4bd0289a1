// What works along axes: means, sums, softmax, layer norm.
#include <algorithm>

#include "io/onnx/operators.h"
#include "kd/error.h"
#include "kd/term_ops.h"

namespace kd::onnx_import {
namespace {

// The axes by attribute or, since opset 13 and 18, by input; all of them if none is named.
std::vector<int> reduced_axes(Lowering& l, const onnx::NodeProto& node, Attributes& attributes,
                              size_t rank) {
  const bool none_is_all = attributes.integer("noop_with_empty_axes", 0) == 0;
  std::vector<int> axes = axes_of(node, l.list(node, 1, attributes, "axes"), rank);
  if (axes.empty() && none_is_all) {
    for (size_t i = 0; i < rank; ++i) axes.push_back(static_cast<int>(i));
  }
  return axes;
}

bool among(const std::vector<int>& axes, int axis) {
  return std::ranges::find(axes, axis) != axes.end();
}

// The mean or sum over `axes`, which keep a size of 1: a global average over (N, elements, 1,
// rest), which leaves the batch free.
View reduced(Lowering& l, const onnx::NodeProto& node, const View& view,
             const std::vector<int>& axes, bool mean) {
  const bool batched = l.options().batched;
  KD_CHECK(!batched || !among(axes, 0), "{}: it reduces the batch", label(node));
  Graph& g = l.graph();
  const std::vector<int64_t> dims = l.dims(view);
  std::vector<int> kept, gone, order;
  const std::vector<int> natural = l.natural_order(view);
  for (const int axis : natural) (among(axes, axis) ? gone : kept).push_back(axis);
  // Where what goes lies last already, every row is a picture; else it comes right after the batch.
  const bool last = std::ranges::equal(gone, std::span(natural).last(gone.size()));
  const std::ptrdiff_t first = last ? std::ssize(kept) : batched ? 1 : 0;
  order.assign(kept.begin(), kept.begin() + first);
  order.insert(order.end(), gone.begin(), gone.end());
  order.insert(order.end(), kept.begin() + first, kept.end());
  int64_t count = 1, rest = 1;
  for (const int axis : gone) count *= dims[static_cast<size_t>(axis)];
  for (size_t i = static_cast<size_t>(first); i < kept.size(); ++i) {
    rest *= dims[static_cast<size_t>(kept[i])];
  }
  Value y = l.arrange(node, view, order);
  const Shape lies = g.shape(y);
  const bool image = lies.rank() == 4 && gone.size() == 2 && order[1] == gone[0];
  if (!image) y = reshape(g, y, {-1, count, 1, rest}, node.name());
  y = global_avg_pool(g, y, node.name());
  if (!mean) y = affine(g, y, static_cast<double>(count), 0, node.name());
  std::vector<int64_t> back;
  View result{y, std::vector<std::vector<int>>(dims.size())};
  for (const int axis : kept) {
    result.axes[static_cast<size_t>(axis)] = {static_cast<int>(back.size())};
    back.push_back(dims[static_cast<size_t>(axis)]);
  }
  if (batched) back[0] = -1;
  if (image && kept.size() == 2) {
    result.axes[static_cast<size_t>(kept[1])] = {3};
  } else {
    result.value = reshape(g, y, back, node.name());
  }
  return result;
}

}  // namespace

void lower_reduce(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  Attributes attributes(node);
  const std::vector<int> axes = reduced_axes(l, node, attributes, view.axes.size());
  const bool keep = attributes.integer("keepdims", 1) != 0;
  attributes.finish();
  Entry entry;
  entry.view = axes.empty() ? view : reduced(l, node, view, axes, node.op_type() == "ReduceMean");
  if (!keep) {
    std::vector<std::vector<int>> kept;
    for (size_t i = 0; i < entry.view.axes.size(); ++i) {
      if (!among(axes, static_cast<int>(i))) kept.push_back(entry.view.axes[i]);
    }
    entry.view.axes = kept;
  }
  l.define(node.output(0), std::move(entry));
}

void lower_softmax(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  const std::vector<int64_t> dims = l.dims(view);
  const auto rank = static_cast<int>(dims.size());
  Attributes attributes(node);
  const bool old = l.options().opset < 13;  // then over all axes from `axis` on
  const int axis = axis_of(node, attributes.integer("axis", old ? 1 : -1), dims.size());
  attributes.finish();
  std::vector<int> order;
  int64_t classes = old ? 1 : dims[static_cast<size_t>(axis)];
  for (int i = 0; i < rank; ++i) {
    if (i != axis || old) order.push_back(i);
    if (old && i >= axis) classes *= dims[static_cast<size_t>(i)];
  }
  if (!old) order.push_back(axis);
  KD_CHECK(!l.options().batched || axis > 0, "{}: over the batch", label(node));
  Value x = l.arrange(node, view, order);
  const Shape shape = l.graph().shape(x);
  x = reshape(l.graph(), x, {-1, classes}, node.name());
  Value y = node.op_type() == "Softmax" ? softmax(l.graph(), x, 1, node.name())
                                        : log_softmax(l.graph(), x, 1, node.name());
  std::vector<int64_t> back(shape.dims().begin(), shape.dims().end());
  if (l.options().batched) back[0] = -1;
  y = reshape(l.graph(), y, back, node.name());
  Entry entry;
  entry.view = l.ordered_view(y, order);
  entry.before_softmax = view;
  l.define(node.output(0), std::move(entry));
}

// Over the axes from `axis` on: (x - mean) / sqrt(var + eps) * scale + bias.
void lower_layer_norm(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  Attributes attributes(node);
  const int axis = axis_of(node, attributes.integer("axis", -1), view.axes.size());
  const double eps = attributes.real("epsilon", 1e-5);
  attributes.integer("stash_type", 1);
  attributes.finish();
  KD_CHECK(axis == static_cast<int>(view.axes.size()) - 1, "{}: only over the last axis",
           label(node));
  KD_CHECK(node.output_size() == 1, "{}: the outputs of mean and deviation are not supported",
           label(node));
  Graph& g = l.graph();
  const std::vector<int> order = l.natural_order(view);
  KD_CHECK(order.back() == axis, "{}: its axis does not lie last", label(node));
  const View x = l.ordered_view(l.arrange(node, view, order), order);
  const auto row_mean = [&](const View& of) {
    return l.arrange(node, reduced(l, node, of, {axis}, true), order);
  };
  const Value mean = row_mean(x);
  const Value centred = add(g, x.value, affine(g, mean, -1, 0, node.name()), node.name());
  const View square = l.ordered_view(mul(g, centred, centred, node.name()), order);
  const Value var = row_mean(square);
  Value y = div(g, centred, sqrt(g, affine(g, var, 1, eps, node.name()), node.name()), node.name());
  y = mul(g, y, l.parameter(node, 1, l.constant(node, 1)), node.name());
  if (l.has(node, 2)) y = add(g, y, l.parameter(node, 2, l.constant(node, 2)), node.name());
  Entry entry;
  entry.view = l.ordered_view(y, order);
  l.define(node.output(0), std::move(entry));
}

}  // namespace kd::onnx_import
