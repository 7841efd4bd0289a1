// Layers with weights and layers over windows: convolution, batch norm, pooling, fully connected.
#include <algorithm>

#include "io/onnx/operators.h"
#include "kd/error.h"
#include "kd/term_ops.h"

namespace kd::onnx_import {
namespace {

std::array<int, 2> pair_of(const onnx::NodeProto& node, const std::vector<int64_t>& values) {
  KD_CHECK(values.size() == 2, "{}: expected two spatial dimensions, found {}", label(node),
           values.size());
  for (const int64_t value : values) {
    KD_CHECK(value >= 1 && value <= 1 << 20, "{}: a window, stride or dilation of {}", label(node),
             value);
  }
  return {static_cast<int>(values[0]), static_cast<int>(values[1])};
}

struct Window {
  std::array<int, 2> size, stride, dilation;
};

// pads, or what auto_pad means for an input of (H, W).
std::array<int, 4> padding(const onnx::NodeProto& node, Attributes& attributes, const Window& w,
                           const Shape& x) {
  const auto pads = attributes.integers("pads", {0, 0, 0, 0});
  const std::string mode = attributes.text("auto_pad", "NOTSET");
  KD_CHECK(pads.size() == 4, "{}: {} pads, expected 4", label(node), pads.size());
  std::array<int, 4> result{};
  if (mode == "VALID") return result;
  if (mode == "NOTSET" || mode.empty()) {
    for (size_t i = 0; i < 4; ++i) {
      KD_CHECK(pads[i] >= 0 && pads[i] <= 1 << 20, "{}: padding of {}", label(node), pads[i]);
      result[i] = static_cast<int>(pads[i]);
    }
    return result;
  }
  KD_CHECK(mode == "SAME_UPPER" || mode == "SAME_LOWER", "{}: auto_pad {} is not supported",
           label(node), mode);
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t size = x[static_cast<int>(axis) + 1];
    const int64_t out = (size + w.stride[axis] - 1) / w.stride[axis];
    const int64_t reach = int64_t{w.dilation[axis]} * (w.size[axis] - 1) + 1;
    const int64_t total = std::max<int64_t>(0, (out - 1) * w.stride[axis] + reach - size);
    const int64_t small = total / 2, large = total - small;
    result[axis] = static_cast<int>(mode == "SAME_UPPER" ? small : large);
    result[axis + 2] = static_cast<int>(total) - result[axis];
  }
  return result;
}

Array as_vector(const onnx::NodeProto& node, const Array& values, int64_t size) {
  KD_CHECK(values.count() == size, "{}: {} values, expected {}", label(node), values.count(), size);
  return reshaped(values, {size});
}

void define_image(Lowering& l, const onnx::NodeProto& node, Value nhwc) {
  Entry entry;
  entry.view = Lowering::image_view(nhwc);
  l.define(node.output(0), std::move(entry));
}

}  // namespace

void lower_conv(Lowering& l, const onnx::NodeProto& node) {
  const Array w = l.constant(node, 1);
  KD_CHECK(w.dims.size() == 4, "{}: a weight of rank {}: only images are convolved, rank 4",
           label(node), w.dims.size());
  const Value x = l.image(node, 0);
  Attributes attributes(node);
  const Window window{pair_of(node, attributes.integers("kernel_shape", {w.dims[2], w.dims[3]})),
                      pair_of(node, attributes.integers("strides", {1, 1})),
                      pair_of(node, attributes.integers("dilations", {1, 1}))};
  KD_CHECK(window.size[0] == w.dims[2] && window.size[1] == w.dims[3],
           "{}: kernel_shape {} x {}, the weight has {} x {}", label(node), window.size[0],
           window.size[1], w.dims[2], w.dims[3]);
  const Conv2dAttrs attrs{window.stride, window.dilation,
                          padding(node, attributes, window, l.graph().shape(x)),
                          static_cast<int>(attributes.integer("group", 1))};
  attributes.finish();
  const Value weight = l.parameter(node, 1, permuted(w, {0, 2, 3, 1}));
  Value y = conv2d(l.graph(), x, weight, attrs, node.name());
  if (l.has(node, 2)) {
    const Array bias = as_vector(node, l.constant(node, 2), w.dims[0]);
    y = add(l.graph(), y, l.parameter(node, 2, bias), node.name());
  }
  define_image(l, node, y);
}

void lower_batch_norm(Lowering& l, const onnx::NodeProto& node) {
  Attributes attributes(node);
  BatchNormAttrs attrs;
  attrs.eps = attributes.real("epsilon", 1e-5);
  attrs.momentum = 1 - attributes.real("momentum", 0.9);  // ONNX gives the share of the old value
  const int64_t training = attributes.integer("training_mode", 0),
                spatial = attributes.integer("spatial", 1);
  KD_CHECK(training == 0 && spatial == 1, "{}: training_mode {} and spatial {}, expected 0 and 1",
           label(node), training, spatial);
  attributes.integer("is_test", 0);
  attributes.finish();
  const View& view = l.view(node, 0);
  const std::vector<int64_t> dims = l.dims(view);
  KD_CHECK(dims.size() == 2 || dims.size() == 4, "{}: a tensor of rank {}, expected 2 or 4",
           label(node), dims.size());
  const bool image = dims.size() == 4;
  const View seen = image ? view : l.reshaped(node, view, {dims[0], dims[1], 1, 1});
  const Value x = l.arrange(node, seen, {0, 2, 3, 1});
  const auto vector = [&](int i, Role role) {
    return l.parameter(node, i, as_vector(node, l.constant(node, i), dims[1]), role);
  };
  const BatchNormWeights weights{vector(1, Role::parameter), vector(2, Role::parameter),
                                 vector(3, Role::state), vector(4, Role::state)};
  const Value y = batch_norm(l.graph(), x, weights, attrs, node.name());
  Entry entry;
  entry.view = Lowering::image_view(y);
  if (!image) entry.view.axes.resize(2);
  l.define(node.output(0), std::move(entry));
}

void lower_pool(Lowering& l, const onnx::NodeProto& node) {
  const Value x = l.image(node, 0);
  const Shape shape = l.graph().shape(x);
  Attributes attributes(node);
  const Window window{pair_of(node, attributes.integers("kernel_shape", {})),
                      pair_of(node, attributes.integers("strides", {1, 1})),
                      pair_of(node, attributes.integers("dilations", {1, 1}))};
  PoolAttrs attrs;
  attrs.window = window.size;
  attrs.stride = window.stride;
  attrs.pad = padding(node, attributes, window, shape);
  attrs.ceil_mode = attributes.integer("ceil_mode", 0) != 0;
  attrs.count_include_pad = attributes.integer("count_include_pad", 0) != 0;
  KD_CHECK(window.dilation[0] == 1 && window.dilation[1] == 1, "{}: dilations are not supported",
           label(node));
  attributes.integer("storage_order", 0);  // of the indices, which are not taken
  attributes.finish();
  if (node.op_type() == "MaxPool") {
    l.leave_out(node, 1, "indices");
    return define_image(l, node, max_pool(l.graph(), x, attrs, node.name()));
  }
  const bool everything =
      window.size[0] == shape[1] && window.size[1] == shape[2] && attrs.pad == std::array<int, 4>{};
  define_image(l, node,
               everything ? global_avg_pool(l.graph(), x, node.name())
                          : avg_pool(l.graph(), x, attrs, node.name()));
}

void lower_global_pool(Lowering& l, const onnx::NodeProto& node) {
  const Value x = l.image(node, 0);
  if (node.op_type() == "GlobalAveragePool") {
    return define_image(l, node, global_avg_pool(l.graph(), x, node.name()));
  }
  const Shape shape = l.graph().shape(x);
  PoolAttrs attrs;
  attrs.window = {static_cast<int>(shape[1]), static_cast<int>(shape[2])};
  attrs.stride = attrs.window;
  define_image(l, node, max_pool(l.graph(), x, attrs, node.name()));
}

namespace {

// y = x w^T (+ bias): x of rank 2 or more, w (K, D). The columns of x may lie in another order:
// then w's are moved, once, instead of x's for every picture.
void fully_connected(Lowering& l, const onnx::NodeProto& node, const Array& w, int bias_input,
                     const Array& bias) {
  const View& view = l.view(node, 0);
  const std::vector<int64_t> dims = l.dims(view);
  const int64_t depth = w.dims.at(1), classes = w.dims.at(0);
  KD_CHECK(dims.size() >= 2 && dims.back() == depth, "{}: a weight of depth {} for rows of {}",
           label(node), depth, dims.empty() ? 1 : dims.back());
  Array columns = w;
  View rows = view;
  if (dims.size() == 2 && view.axes[1].size() > 1) {
    const Shape& shape = l.graph().shape(view.value);
    const std::vector<int>& group = view.axes[1];
    std::vector<int> sorted(group.size()), order{0};
    for (size_t i = 0; i < group.size(); ++i) sorted[i] = static_cast<int>(i);
    std::ranges::sort(sorted, {}, [&](int i) { return group[static_cast<size_t>(i)]; });
    std::vector<int64_t> split{classes};
    rows.axes[1].clear();
    for (const int axis : group) split.push_back(shape[axis]);
    for (const int i : sorted) {
      order.push_back(i + 1);
      rows.axes[1].push_back(group[static_cast<size_t>(i)]);
    }
    columns = reshaped(permuted(reshaped(w, split), order), w.dims);
  }
  std::vector<int> in_order(dims.size());
  for (size_t i = 0; i < dims.size(); ++i) in_order[i] = static_cast<int>(i);
  Value x = l.arrange(node, rows, in_order);
  if (dims.size() > 2) x = reshape(l.graph(), x, {-1, depth}, node.name());
  const Value weight = l.parameter(node, 1, columns);
  const Value offset = bias_input >= 0 ? l.parameter(node, bias_input, bias) : Value{};
  Value y = linear(l.graph(), x, weight, offset, node.name());
  if (dims.size() > 2) {
    std::vector<int64_t> back = dims;
    back[0] = l.options().batched ? -1 : dims[0];
    back.back() = classes;
    y = reshape(l.graph(), y, back, node.name());
  }
  Entry entry;
  entry.view = l.plain_view(y);
  l.define(node.output(0), std::move(entry));
}

void scale(Array& values, double factor) {
  if (factor == 1) return;
  for (float& x : values.reals) x = static_cast<float>(x * factor);
}

}  // namespace

void lower_gemm(Lowering& l, const onnx::NodeProto& node) {
  Attributes attributes(node);
  const double alpha = attributes.real("alpha", 1), beta = attributes.real("beta", 1);
  KD_CHECK(attributes.integer("transA", 0) == 0, "{}: transA is not supported", label(node));
  const bool transposed = attributes.integer("transB", 0) != 0;
  attributes.finish();
  Array w = l.constant(node, 1);
  KD_CHECK(w.dims.size() == 2, "{}: a weight of rank {}, expected 2", label(node), w.dims.size());
  if (!transposed) w = permuted(w, {1, 0});
  scale(w, alpha);
  if (!l.has(node, 2)) return fully_connected(l, node, w, -1, {});
  Array bias = l.constant(node, 2);
  KD_CHECK(bias.count() == 1 || bias.count() == w.dims[0],
           "{}: a bias of {} values, expected {}, one a column", label(node), bias.count(),
           w.dims[0]);
  bias = broadcast(reshaped(bias, {bias.count()}), {w.dims[0]});
  scale(bias, beta);
  fully_connected(l, node, w, 2, bias);
}

void lower_matmul(Lowering& l, const onnx::NodeProto& node) {
  KD_CHECK(l.entry(node, 1).is_constant() && !l.entry(node, 0).is_constant(),
           "{}: only a tensor times a constant matrix is supported", label(node));
  const Array w = l.constant(node, 1);
  KD_CHECK(w.dims.size() == 2, "{}: a weight of rank {}, expected 2", label(node), w.dims.size());
  fully_connected(l, node, permuted(w, {1, 0}), -1, {});
}

// y = x / (bias + alpha/size sum of x^2 over `size` channels around)^beta. The sum is a 1x1
// convolution with a band of ones.
void lower_lrn(Lowering& l, const onnx::NodeProto& node) {
  Attributes attributes(node);
  const int64_t size = attributes.integer("size", 0);
  const double alpha = attributes.real("alpha", 1e-4), beta = attributes.real("beta", 0.75),
               bias = attributes.real("bias", 1);
  attributes.finish();
  KD_CHECK(size >= 1 && bias > 0, "{}: size {} and bias {}, expected above 0", label(node), size,
           bias);
  Graph& g = l.graph();
  const Value x = l.image(node, 0);
  const int64_t channels = g.shape(x)[3], before = (size - 1) / 2, after = size - 1 - before;
  KD_CHECK(channels <= 4096, "{}: over {} channels", label(node), channels);
  Array band{{channels, 1, 1, channels}, false, {}, {}};
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t k = 0; k < channels; ++k) {
      band.reals.push_back(k >= c - before && k <= c + after ? 1.0F : 0.0F);
    }
  }
  const Value sums =
      conv2d(g, mul(g, x, x, node.name()), l.parameter(node, 0, band), {}, node.name());
  const Value norm = affine(g, sums, alpha / static_cast<double>(size), bias, node.name());
  const Value power =
      exp(g, affine(g, log(g, norm, node.name()), -beta, 0, node.name()), node.name());
  define_image(l, node, mul(g, x, power, node.name()));
}

}  // namespace kd::onnx_import
