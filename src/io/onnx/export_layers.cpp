// Layers with weights, and layers over windows.
#include <algorithm>

#include "io/onnx/export_graph.h"
#include "kd/error.h"
#include "ops/table.h"

namespace kd::onnx_export {
namespace {

Ints ints(const auto& values) { return {values.begin(), values.end()}; }

// "conv1.weight.folded_bias" -> "conv1.bias", as the frameworks call it.
std::string bias_name(const std::string& name) {
  constexpr std::string_view folded = ".weight.folded_bias";
  if (!name.ends_with(folded)) return name;
  return name.substr(0, name.size() - folded.size()).append(".bias");
}

// The sum with one number a channel that alone reads the convolution, if there is one.
const Node* bias_of(const GraphWriter& w, const Node& conv) {
  if (w.uses(conv.outputs[0]) != 1) return nullptr;
  const auto users = w.users(conv.outputs[0]);
  if (users.size() != 1 || users[0]->op != &op_add) return nullptr;
  const Node& sum = *users[0];
  const bool fits = sum.inputs[0] == conv.outputs[0] &&
                    w.graph().info(sum.inputs[1]).role == Role::parameter &&
                    w.shape(sum.inputs[1]).rank() == 1 &&
                    w.shape(sum.inputs[1])[0] == w.shape(conv.outputs[0])[3];
  return fits ? &sum : nullptr;
}

std::vector<float> vector_of(const Tensor& tensor) {
  return {tensor.as<float>(), tensor.as<float>() + tensor.elements()};
}

void conv(GraphWriter& w, const Node& node) {
  const auto& attrs = node.attr<Conv2dAttrs>();
  w.stored(node, 1);
  // (K, R, S, C) seen as (N, H, W, C): the same permutation gives (K, C, R, S).
  std::vector<std::string> inputs{w.name(node.inputs[0]), w.name(node.inputs[1])};
  const Node* sum = bias_of(w, node);
  if (sum != nullptr) {
    const Tensor& bias = w.stored(*sum, 1);
    inputs.push_back(w.floats({bias.elements()}, vector_of(bias),
                              bias_name(w.graph().info(sum->inputs[1]).name)));
  }
  const Shape& weight = w.shape(node.inputs[1]);
  const std::string y = w.node("Conv", inputs, node.name);
  w.attribute("kernel_shape", Ints{weight[1], weight[2]});
  w.attribute("strides", ints(attrs.stride));
  w.attribute("pads", ints(attrs.pad));
  w.attribute("dilations", ints(attrs.dilation));
  w.attribute("group", int64_t{attrs.groups});
  w.define(sum != nullptr ? sum->outputs[0] : node.outputs[0], y);
}

std::string cast(GraphWriter& w, const std::string& x, int type, const std::string& layer) {
  std::string y = w.node("Cast", {x}, layer + ".cast");
  w.attribute("to", int64_t{type});
  return y;
}

// Its vectors keep f32: a variance may not fit into 16 bits.
void norm(GraphWriter& w, const Node& node) {
  const auto& attrs = node.attr<BatchNormAttrs>();
  const bool half = w.options().fp16;
  std::string x = w.name(node.inputs[0]);
  if (half) x = cast(w, x, onnx::TensorProto::FLOAT, node.name);
  std::vector<std::string> inputs{x};
  for (size_t i = 1; i < 5; ++i) {
    const Tensor& tensor = w.stored(node, i);
    inputs.push_back(w.floats({tensor.elements()}, vector_of(tensor),
                              w.graph().info(node.inputs[i]).name, true));
  }
  std::string y = w.node("BatchNormalization", inputs, node.name);
  w.attribute("epsilon", attrs.eps);
  w.attribute("momentum", 1 - attrs.momentum);
  if (half) y = cast(w, y, onnx::TensorProto::FLOAT16, node.name);
  w.define(node.outputs[0], y);
}

// Readers disagree about ceil_mode, so the last partial window is padding here. An average that
// counts padding, but never what ceil_mode hangs over, reads zeros that are added before it.
void pool(GraphWriter& w, const Node& node) {
  const auto& attrs = node.attr<PoolAttrs>();
  const Shape &x = w.shape(node.inputs[0]), &y = w.shape(node.outputs[0]);
  std::array<int64_t, 4> pad{attrs.pad[0], attrs.pad[1], attrs.pad[2], attrs.pad[3]};
  std::array<int64_t, 2> overhang{0, 0};
  for (size_t side = 0; side < 2; ++side) {
    const int axis = static_cast<int>(side) + 1;
    const int64_t reach = (y[axis] - 1) * attrs.stride[side] + attrs.window[side];
    overhang[side] = std::max(int64_t{0}, reach - x[axis] - pad[side] - pad[side + 2]);
  }
  const bool hangs = overhang[0] + overhang[1] > 0, max = node.op == &op_max_pool;
  std::string from = w.name(node.inputs[0]);
  bool count_pad = attrs.count_include_pad;
  if (!max && count_pad && hangs) {
    const Ints pads{0, 0, pad[0], pad[1], 0, 0, pad[2], pad[3]};
    from = w.node("Pad", {from, w.integers(pads, node.name + ".pads")}, node.name + ".pad");
    pad = {0, 0, 0, 0};
    count_pad = false;
  }
  pad[2] += overhang[0];
  pad[3] += overhang[1];
  const std::string out = w.node(max ? "MaxPool" : "AveragePool", {from}, node.name);
  w.attribute("kernel_shape", ints(attrs.window));
  w.attribute("strides", ints(attrs.stride));
  w.attribute("pads", ints(pad));
  if (!max) w.attribute("count_include_pad", int64_t{count_pad ? 1 : 0});
  w.define(node.outputs[0], out);
}

void linear(GraphWriter& w, const Node& node) {
  const Tensor& weight = w.stored(node, 1);
  const int64_t rows = weight.shape()[0], columns = weight.shape()[1];
  std::vector<float> values = vector_of(weight);
  if (const auto at = w.flattened.find(node.inputs[1].id); at != w.flattened.end()) {
    const auto [c, h, width] = at->second;
    for (int64_t i = 0; i < rows * columns; ++i) {
      const int64_t theirs = i % columns, ours = theirs % (h * width) * c + theirs / (h * width);
      values[static_cast<size_t>(i)] = weight.as<float>()[i - theirs + ours];
    }
  }
  std::vector<std::string> inputs{
      w.name(node.inputs[0]),
      w.floats({rows, columns}, values, w.graph().info(node.inputs[1]).name)};
  if (node.inputs.size() == 3) inputs.push_back(w.name(node.inputs[2]));
  const std::string y = w.node("Gemm", inputs, node.name);
  w.attribute("transB", int64_t{1});
  w.define(node.outputs[0], y);
}

}  // namespace

bool write_layer(GraphWriter& w, const Node& node) {
  if (node.op == &op_conv2d) {
    conv(w, node);
  } else if (node.op == &op_batch_norm) {
    norm(w, node);
  } else if (node.op == &op_max_pool || node.op == &op_avg_pool) {
    if (node.outputs.size() > 1 && w.uses(node.outputs[1]) > 0) refuse(node, "its places are read");
    pool(w, node);
  } else if (node.op == &op_linear) {
    linear(w, node);
  } else {
    return false;
  }
  return true;
}

}  // namespace kd::onnx_export
