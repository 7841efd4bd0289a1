// From one node of ours to ONNX's: everything without weights.
#include <algorithm>
#include <cmath>

#include "io/onnx/export_graph.h"
#include "kd/error.h"
#include "kd/mix_ops.h"
#include "kd/term_ops.h"
#include "ops/table.h"

namespace kd::onnx_export {
namespace {

std::string activation(GraphWriter& w, const Node& node, const std::string& x) {
  switch (node.attr<ActivationAttrs>().kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return w.node("Relu", {x}, node.name);
    case Activation::relu6:
      return w.node("Clip", {x, w.number(0, node.name + ".min"), w.number(6, node.name + ".max")},
                    node.name);
    case Activation::sigmoid:
      return w.node("Sigmoid", {x}, node.name);
    case Activation::silu:
      return w.node("Mul", {x, w.node("Sigmoid", {x}, node.name + ".sigmoid")}, node.name);
    case Activation::hard_swish:
      return w.node("HardSwish", {x}, node.name);
    case Activation::hard_sigmoid: {
      std::string y = w.node("HardSigmoid", {x}, node.name);
      w.attribute("alpha", 1.0 / 6);
      w.attribute("beta", 0.5);
      return y;
    }
  }
  refuse(node, "an unknown activation");
}

std::string binary(GraphWriter& w, const Node& node) {
  const int rank = w.shape(node.outputs[0]).rank();
  for (const Value v : node.inputs) {
    if (w.graph().info(v).role == Role::activation && w.shape(v).rank() != rank && rank == 4) {
      refuse(node, "operands of different rank");
    }
  }
  const char* op = node.op == &op_add ? "Add" : node.op == &op_mul ? "Mul" : "Div";
  return w.node(op, {w.name(node.inputs[0], rank), w.name(node.inputs[1], rank)}, node.name);
}

std::string affine(GraphWriter& w, const Node& node, std::string x) {
  const auto& attrs = node.attr<AffineAttrs>();
  if (attrs.factor != 1) {
    x = w.node("Mul", {x, w.number(attrs.factor, node.name + ".factor")}, node.name);
  }
  if (attrs.offset != 0) {
    x = w.node("Add", {x, w.number(attrs.offset, node.name + ".offset")}, node.name);
  }
  return x;
}

std::string transposed(GraphWriter& w, const std::string& x, const Ints& axes,
                       const std::string& layer) {
  std::string y = w.node("Transpose", {x}, layer);
  w.attribute("perm", axes);
  return y;
}

Ints list(const auto& values) { return {values.begin(), values.end()}; }

// Do nothing but linear layers, each with a weight of its own, read these columns?
bool only_linear_reads(const GraphWriter& w, Value columns) {
  const auto users = w.users(columns);
  return !users.empty() && w.uses(columns) == static_cast<int>(users.size()) &&
         std::ranges::all_of(users, [&](const Node* node) {
           const bool passes = node->op == &op_activation || node->op == &op_dropout;
           if (passes) return only_linear_reads(w, node->outputs[0]);
           return node->op == &op_linear && w.uses(node->inputs[1]) == 1;
         });
}

void mark_flattened(GraphWriter& w, Value columns, const std::array<int64_t, 3>& chw) {
  for (const Node* node : w.users(columns)) {
    if (node->op == &op_linear) {
      w.flattened[node->inputs[1].id] = chw;
    } else {
      mark_flattened(w, node->outputs[0], chw);
    }
  }
}

std::string reshaped(GraphWriter& w, const Node& node, std::string x) {
  const Shape &from = w.shape(node.inputs[0]), &to = w.shape(node.outputs[0]);
  Ints dims = node.attr<DimsAttrs>().dims;
  const bool open = !dims.empty() && dims[0] == -1 && from.rank() > 0 && from[0] == to[0];
  if (!open) refuse(node, "it does not leave the batch open");
  if (from.rank() == 4 && to.rank() == 2) {  // memory order differs where H W > 1 and C > 1
    const bool same = from[1] * from[2] == 1 || from[3] == 1;
    if (same || only_linear_reads(w, node.outputs[0])) {
      if (!same) mark_flattened(w, node.outputs[0], {from[3], from[1], from[2]});
      std::string y = w.node("Flatten", {x}, node.name);
      w.attribute("axis", int64_t{1});
      return y;
    }
  }
  if (from.rank() == 4) x = transposed(w, x, list(kOnnxAxis), node.name + ".nhwc");
  x = w.node("Reshape", {x, w.integers(dims, node.name + ".shape")}, node.name);
  return to.rank() == 4 ? transposed(w, x, list(kOurAxis), node.name + ".nchw") : x;
}

std::string permuted(GraphWriter& w, const Node& node, const std::string& x) {
  const Ints& axes = node.attr<PermuteAttrs>().axes;
  if (axes.size() != 4) return transposed(w, x, axes, node.name);
  Ints onnx;
  for (const int64_t ours : kOurAxis) {
    onnx.push_back(kOnnxAxis[static_cast<size_t>(axes[static_cast<size_t>(ours)])]);
  }
  return transposed(w, x, onnx, node.name);
}

std::string joined(GraphWriter& w, const Node& node) {
  std::vector<std::string> parts;
  for (const Value v : node.inputs) parts.push_back(w.name(v));
  std::string y = w.node("Concat", parts, node.name);
  w.attribute("axis", onnx_axis(w.shape(node.outputs[0]), node.attr<AxisAttrs>().axis));
  return y;
}

std::string sliced(GraphWriter& w, const Node& node, const std::string& x) {
  const auto& attrs = node.attr<SliceAttrs>();
  Ints axes;
  for (const int64_t axis : attrs.axes) {
    if (axis == 0) refuse(node, "it cuts the batch");
    axes.push_back(onnx_axis(w.shape(node.inputs[0]), axis));
  }
  return w.node("Slice",
                {x, w.integers(attrs.begin, node.name + ".starts"),
                 w.integers(attrs.end, node.name + ".ends"), w.integers(axes, node.name + ".axes"),
                 w.integers(attrs.step, node.name + ".steps")},
                node.name);
}

std::string padded(GraphWriter& w, const Node& node, const std::string& x) {
  const auto& attrs = node.attr<PadAttrs>();
  const Shape& shape = w.shape(node.inputs[0]);
  const auto rank = static_cast<size_t>(shape.rank());
  Ints pads(2 * rank, 0);
  for (size_t i = 0; i < attrs.axes.size(); ++i) {
    if (attrs.axes[i] == 0) refuse(node, "it pads the batch");
    const auto axis = static_cast<size_t>(onnx_axis(shape, attrs.axes[i]));
    pads[axis] += attrs.before[i];
    pads[axis + rank] += attrs.after[i];
  }
  return w.node("Pad", {x, w.integers(pads, node.name + ".pads")}, node.name);
}

std::string shuffled(GraphWriter& w, const Node& node, std::string x) {
  const Shape& s = w.shape(node.inputs[0]);
  const int64_t groups = node.attr<ShuffleAttrs>().groups;
  const Ints apart{-1, groups, s[3] / groups, s[1], s[2]}, together{-1, s[3], s[1], s[2]};
  x = w.node("Reshape", {x, w.integers(apart, node.name + ".apart")}, node.name + ".split");
  x = transposed(w, x, {0, 2, 1, 3, 4}, node.name + ".swap");
  return w.node("Reshape", {x, w.integers(together, node.name + ".together")}, node.name);
}

std::string rows(GraphWriter& w, const Node& node, std::string x) {
  const double t = node.attr<SoftmaxAttrs>().temperature;
  if (t != 1) x = w.node("Div", {x, w.number(t, node.name + ".temperature")}, node.name + ".soft");
  std::string y = w.node(node.op == &op_softmax ? "Softmax" : "LogSoftmax", {x}, node.name);
  w.attribute("axis", int64_t{-1});
  return y;
}

std::string resized(GraphWriter& w, const Node& node, const std::string& x) {
  if (w.options().opset < 18) refuse(node, "antialiasing is known from opset 18 on: --opset 18");
  const auto& size = node.attr<ResizeAttrs>().size;
  std::string y =
      w.node("Resize", {x, "", "", w.integers(list(size), node.name + ".size")}, node.name);
  w.attribute("mode", std::string("linear"));
  w.attribute("coordinate_transformation_mode", std::string("half_pixel"));
  w.attribute("antialias", int64_t{1});
  w.attribute("axes", Ints{2, 3});
  return y;
}

}  // namespace

void write_node(GraphWriter& w, const Node& node) {
  if (write_layer(w, node)) return;
  const OpDef* op = node.op;
  const auto in = [&] { return w.name(node.inputs[0]); };
  std::string y;
  if (op == &op_activation) {
    y = activation(w, node, in());
  } else if (op == &op_add || op == &op_mul || op == &op_div) {
    y = binary(w, node);
  } else if (op == &op_affine) {
    y = affine(w, node, in());
  } else if (op == &op_exp || op == &op_log || op == &op_sqrt) {
    y = w.node(op == &op_exp ? "Exp" : op == &op_log ? "Log" : "Sqrt", {in()}, node.name);
  } else if (op == &op_global_avg_pool) {
    y = w.node("GlobalAveragePool", {in()}, node.name);
  } else if (op == &op_reshape) {
    y = reshaped(w, node, in());
  } else if (op == &op_transpose) {
    y = permuted(w, node, in());
  } else if (op == &op_concat) {
    y = joined(w, node);
  } else if (op == &op_slice) {
    y = sliced(w, node, in());
  } else if (op == &op_pad) {
    y = padded(w, node, in());
  } else if (op == &op_channel_shuffle) {
    y = shuffled(w, node, in());
  } else if (op == &op_softmax || op == &op_log_softmax) {
    y = rows(w, node, in());
  } else if (op == &op_resize_images) {
    y = resized(w, node, in());
  } else if ((op == &op_dropout && node.inputs.size() == 1) || op == &op_stop_gradient) {
    y = in();  // inference passes through
  } else {
    refuse(node, "no operator of ONNX is known for it");
  }
  w.define(node.outputs[0], y);
}

}  // namespace kd::onnx_export
