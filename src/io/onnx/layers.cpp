// Layers with weights and layers over windows: convolution, batch norm, pooling, fully connected.
#include "io/onnx/layers.h"

#include <algorithm>
#include <map>

#include "kd/error.h"

namespace kd::onnx_import {
namespace {

std::array<int, 2> pair_of(const onnx::NodeProto& node, const std::vector<int64_t>& values) {
  KD_CHECK(values.size() == 2, "{}: expected two spatial dimensions, found {}", label(node),
           values.size());
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
  if (mode == "NOTSET") {
    return {static_cast<int>(pads[0]), static_cast<int>(pads[1]), static_cast<int>(pads[2]),
            static_cast<int>(pads[3])};
  }
  if (mode == "VALID") return {0, 0, 0, 0};
  KD_CHECK(mode == "SAME_UPPER" || mode == "SAME_LOWER", "{}: auto_pad {} is not supported",
           label(node), mode);
  std::array<int, 4> result{};
  for (size_t axis = 0; axis < 2; ++axis) {
    const int size = static_cast<int>(x[static_cast<int>(axis) + 1]);
    const int out = (size + w.stride[axis] - 1) / w.stride[axis];
    const int reach = w.dilation[axis] * (w.size[axis] - 1) + 1;
    const int total = std::max(0, (out - 1) * w.stride[axis] + reach - size);
    const int small = total / 2, large = total - small;
    result[axis] = mode == "SAME_UPPER" ? small : large;
    result[axis + 2] = total - result[axis];
  }
  return result;
}

}  // namespace

Value conv(Lowering& l, const onnx::NodeProto& node) {
  const Value x = l.image(node, 0);
  const Array& w = l.constant(node, 1);
  KD_CHECK(w.dims.size() == 4, "{}: a weight of rank {}, expected 4", label(node), w.dims.size());
  Attributes attributes(node);
  const Window window{pair_of(node, attributes.integers("kernel_shape", {w.dims[2], w.dims[3]})),
                      pair_of(node, attributes.integers("strides", {1, 1})),
                      pair_of(node, attributes.integers("dilations", {1, 1}))};
  Conv2dAttrs attrs{window.stride, window.dilation,
                    padding(node, attributes, window, l.graph().shape(x)),
                    static_cast<int>(attributes.integer("group", 1))};
  attributes.finish();
  const int64_t k = w.dims[0], c = w.dims[1], r = w.dims[2], s = w.dims[3];
  std::vector<double> krsc(w.values.size());
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < c; ++j) {
      for (int64_t place = 0; place < r * s; ++place) {
        krsc[static_cast<size_t>((i * r * s + place) * c + j)] =
            w.values[static_cast<size_t>((i * c + j) * r * s + place)];
      }
    }
  }
  const Value weight = l.parameter(node, 1, {k, r, s, c}, krsc);
  Value y = conv2d(l.graph(), x, weight, attrs, node.name());
  if (l.has(node, 2)) {
    y = add(l.graph(), y, l.parameter(node, 2, {k}, l.constant(node, 2).values), node.name());
  }
  return y;
}

Value batch_normalization(Lowering& l, const onnx::NodeProto& node) {
  const Value x = l.image(node, 0);
  Attributes attributes(node);
  BatchNormAttrs attrs;
  attrs.eps = attributes.real("epsilon", 1e-5);
  attrs.momentum = 1 - attributes.real("momentum", 0.9);  // ONNX gives the share of the old value
  const int64_t training = attributes.integer("training_mode", 0),
                spatial = attributes.integer("spatial", 1);
  KD_CHECK(training == 0 && spatial == 1, "{}: training_mode {} and spatial {}, expected 0 and 1",
           label(node), training, spatial);
  attributes.finish();
  const Shape channels{l.graph().shape(x)[3]};
  const auto vector = [&](int i, Role role) {
    return l.parameter(node, i, channels, l.constant(node, i).values, role);
  };
  const BatchNormWeights weights{vector(1, Role::parameter), vector(2, Role::parameter),
                                 vector(3, Role::state), vector(4, Role::state)};
  return batch_norm(l.graph(), x, weights, attrs, node.name());
}

Value pool(Lowering& l, const onnx::NodeProto& node) {
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
  KD_CHECK(attributes.integer("storage_order", 0) == 0, "{}: storage_order is not supported",
           label(node));
  attributes.finish();
  if (node.op_type() == "MaxPool") {
    KD_CHECK(node.output_size() == 1, "{}: the output of indices is not supported", label(node));
    return max_pool(l.graph(), x, attrs, node.name());
  }
  const bool everything =
      window.size[0] == shape[1] && window.size[1] == shape[2] && attrs.pad == std::array<int, 4>{};
  return everything ? global_avg_pool(l.graph(), x, node.name())
                    : avg_pool(l.graph(), x, attrs, node.name());
}

// y = x w (+ bias), w given as (D, K) or, transposed, (K, D).
Value fully_connected(Lowering& l, const onnx::NodeProto& node, bool transposed, bool with_bias) {
  const Entry& in = l.entry(node, 0);
  const Value x = l.tensor(node, 0);
  const Array& w = l.constant(node, 1);
  KD_CHECK(l.graph().shape(x).rank() == 2 && w.dims.size() == 2,
           "{}: expected a matrix times a matrix", label(node));
  const int64_t k = w.dims[transposed ? 0 : 1], d = w.dims[transposed ? 1 : 0];
  const auto [c, h, width] = in.flattened;
  std::vector<double> rows(w.values.size());
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < d; ++j) {
      // Column j of theirs is (channel, place); ours is (place, channel).
      const int64_t ours = h * width > 1 ? j % (h * width) * c + j / (h * width) : j;
      rows[static_cast<size_t>(i * d + ours)] =
          w.values[static_cast<size_t>(transposed ? i * d + j : j * k + i)];
    }
  }
  const Value weight = l.parameter(node, 1, {k, d}, rows);
  const Value bias = with_bias ? l.parameter(node, 2, {k}, l.constant(node, 2).values) : Value{};
  return linear(l.graph(), x, weight, bias, node.name());
}

Value gemm(Lowering& l, const onnx::NodeProto& node) {
  Attributes attributes(node);
  KD_CHECK(attributes.real("alpha", 1) == 1 && attributes.real("beta", 1) == 1 &&
               attributes.integer("transA", 0) == 0,
           "{}: alpha and beta other than 1, and transA, are not supported", label(node));
  const bool transposed = attributes.integer("transB", 0) != 0;
  attributes.finish();
  return fully_connected(l, node, transposed, l.has(node, 2));
}

Value matmul(Lowering& l, const onnx::NodeProto& node) {
  return fully_connected(l, node, false, false);
}

}  // namespace kd::onnx_import
