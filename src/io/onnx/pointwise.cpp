// What works element by element: it neither asks nor changes how a tensor lies.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "io/onnx/fold.h"
#include "io/onnx/operators.h"
#include "kd/error.h"
#include "kd/term_ops.h"

namespace kd::onnx_import {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void define_like(Lowering& l, const onnx::NodeProto& node, const View& view, Value value) {
  Entry entry;
  entry.view = {value, view.axes};
  l.define(node.output(0), std::move(entry));
}

struct Emit {  // ops of one node, all under its name
  Graph& g;
  const std::string& name;
  Value affine(Value x, double factor, double offset) const {
    return kd::affine(g, x, factor, offset, name);
  }
  Value act(Value x, Activation kind) const { return activation(g, x, kind, name); }
  Value relu(Value x) const { return act(x, Activation::relu); }
  Value add(Value a, Value b) const { return kd::add(g, a, b, name); }
  Value mul(Value a, Value b) const { return kd::mul(g, a, b, name); }
  Value exp(Value x) const { return kd::exp(g, x, name); }
  // max(x, low) and min(x, high), exact where low and high are 0.
  Value at_least(Value x, double low) const {
    if (low == 0) return relu(x);
    return affine(relu(affine(x, 1, -low)), 1, low);
  }
  Value at_most(Value x, double high) const { return affine(relu(affine(x, -1, high)), -1, high); }
  Value leaky(Value x, double slope) const {
    return add(relu(x), affine(relu(affine(x, -1, 0)), -slope, 0));
  }
};

// min(max(alpha x + beta, 0), 1), by an op of ours where it is one.
Value hard_sigmoid(const Emit& emit, Value x, double alpha, double beta) {
  if (std::abs(alpha - 1.0 / 6) < 1e-6 && beta == 0.5) {
    return emit.act(x, Activation::hard_sigmoid);
  }
  return emit.affine(emit.act(emit.affine(x, 6 * alpha, 6 * beta), Activation::relu6), 1.0 / 6, 0);
}

}  // namespace

void lower_activation(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  const Value x = view.value;
  const Emit emit{l.graph(), node.name()};
  Attributes attributes(node);
  const std::string& op = node.op_type();
  Value y;
  if (op == "Relu") y = emit.relu(x);
  if (op == "Sigmoid") y = emit.act(x, Activation::sigmoid);
  if (op == "HardSwish") y = emit.act(x, Activation::hard_swish);
  if (op == "Swish") {
    KD_CHECK(attributes.real("alpha", 1) == 1, "{}: alpha other than 1 is not supported",
             label(node));
    y = emit.act(x, Activation::silu);
  }
  if (op == "Tanh") y = emit.affine(emit.act(emit.affine(x, 2, 0), Activation::sigmoid), 2, -1);
  if (op == "LeakyRelu") y = emit.leaky(x, attributes.real("alpha", 0.01));
  if (op == "HardSigmoid") {
    y = hard_sigmoid(emit, x, attributes.real("alpha", 0.2), attributes.real("beta", 0.5));
  }
  if (op == "Elu") {
    const double alpha = attributes.real("alpha", 1);
    const Value below = emit.affine(emit.relu(emit.affine(x, -1, 0)), -1, 0);  // min(x, 0)
    y = emit.add(emit.relu(x), emit.affine(emit.exp(below), alpha, -alpha));
  }
  attributes.finish();
  define_like(l, node, view, y);
}

namespace {

// Within 1.5e-7: Abramowitz and Stegun, 7.1.26, for |x|, with the sign of x.
Value erf(const Emit& emit, Value x) {
  constexpr std::array<double, 5> kCoefficients{1.061405429, -1.453152027, 1.421413741,
                                                -0.284496736, 0.254829592};
  const Value magnitude = emit.leaky(x, -1);
  const Value t = div(emit.g, fill(emit.g, {}, 1), emit.affine(magnitude, 0.3275911, 1), emit.name);
  Value sum = emit.affine(t, kCoefficients[0], kCoefficients[1]);
  for (size_t i = 2; i < kCoefficients.size(); ++i) {
    sum = emit.affine(emit.mul(sum, t), 1, kCoefficients[i]);
  }
  const Value decay = emit.exp(emit.affine(emit.mul(x, x), -1, 0));
  const Value positive = emit.affine(emit.mul(emit.mul(sum, t), decay), -1, 1);
  // sign(x) erf(|x|), as x erf(|x|) / |x| where x is not tiny.
  const Value tiny = emit.affine(magnitude, 1, 1e-30);
  return div(emit.g, emit.mul(x, positive), tiny, emit.name);
}

}  // namespace

void lower_unary(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  Graph& g = l.graph();
  const std::string& op = node.op_type();
  Value y;
  if (op == "Exp") y = exp(g, view.value, node.name());
  if (op == "Log") y = log(g, view.value, node.name());
  if (op == "Sqrt") y = sqrt(g, view.value, node.name());
  if (op == "Neg") y = affine(g, view.value, -1, 0, node.name());
  if (op == "Reciprocal") y = div(g, fill(g, {}, 1), view.value, node.name());
  const Emit emit{g, node.name()};
  if (op == "Abs") y = emit.leaky(view.value, -1);
  if (op == "Erf") y = erf(emit, view.value);
  define_like(l, node, view, y);
}

void lower_clip(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  Attributes attributes(node);
  double low = attributes.real("min", -kInfinity), high = attributes.real("max", kInfinity);
  if (l.has(node, 1)) low = l.constant(node, 1).at(0);
  if (l.has(node, 2)) high = l.constant(node, 2).at(0);
  attributes.finish();
  KD_CHECK(low <= high, "{}: bounds {} and {}", label(node), low, high);
  const Emit emit{l.graph(), node.name()};
  const double largest = std::numeric_limits<float>::max();
  Value y = view.value;
  if (low == 0 && high == 6) {
    y = emit.act(y, Activation::relu6);
  } else {
    if (low > -largest) y = emit.at_least(y, low);
    if (high < largest) y = emit.at_most(y, high);
  }
  define_like(l, node, view, y);
}

namespace {

// A view with leading axes of size 1 up to `rank`.
View of_rank(const View& view, size_t rank) {
  View wide = view;
  while (wide.axes.size() < rank) wide.axes.insert(wide.axes.begin(), std::vector<int>{});
  return wide;
}

Value apply(Lowering& l, const onnx::NodeProto& node, Value a, Value b) {
  Graph& g = l.graph();
  const std::string& op = node.op_type();
  if (op == "Add" || op == "Sum") return add(g, a, b, node.name());
  if (op == "Sub") return add(g, a, affine(g, b, -1, 0, node.name()), node.name());
  if (op == "Mul") return mul(g, a, b, node.name());
  if (op == "Div") return div(g, a, b, node.name());
  const Emit emit{g, node.name()};
  const Value more = emit.relu(emit.add(a, emit.affine(b, -1, 0)));  // max(a - b, 0)
  if (op == "Max") return emit.add(b, more);
  return emit.add(a, emit.affine(more, -1, 0));
}

// One number and a tensor; `first` tells whether the number is the left operand.
Value with_number(Lowering& l, const onnx::NodeProto& node, Value x, double c, bool first) {
  const Emit emit{l.graph(), node.name()};
  const std::string& op = node.op_type();
  if (op == "Add" || op == "Sum") return emit.affine(x, 1, c);
  if (op == "Sub") return first ? emit.affine(x, -1, c) : emit.affine(x, 1, -c);
  if (op == "Mul") return emit.affine(x, c, 0);
  if (op == "Max") return emit.at_least(x, c);
  if (op == "Min") return emit.at_most(x, c);
  if (first) return div(l.graph(), fill(l.graph(), {}, c), x, node.name());
  return emit.affine(x, 1 / c, 0);
}

// A constant operand in the order that x lies in.
View with_constant(Lowering& l, const onnx::NodeProto& node, int tensor, int constant) {
  Array c = l.constant(node, constant);
  const size_t rank = std::max(l.view(node, tensor).axes.size(), c.dims.size());
  const View x = of_rank(l.view(node, tensor), rank);
  if (c.count() == 1 && c.dims.size() <= l.view(node, tensor).axes.size()) {
    return {with_number(l, node, x.value, c.at(0), constant < tensor), x.axes};
  }
  broadcast_dims(node, l.dims(x), c.dims);  // throws if they do not fit
  while (c.dims.size() < rank) c.dims.insert(c.dims.begin(), 1);
  KD_CHECK(!l.options().batched || c.dims[0] == 1, "{}: a constant for each picture of a batch",
           label(node));
  const std::vector<int> order = l.natural_order(x);
  const Value a = l.arrange(node, x, order);
  c = permuted(c, order);
  while (!c.dims.empty() && c.dims[0] == 1) c.dims.erase(c.dims.begin());
  const Value b = l.parameter(node, constant, c);
  return l.ordered_view(constant < tensor ? apply(l, node, b, a) : apply(l, node, a, b), order);
}

View of_tensors(Lowering& l, const onnx::NodeProto& node, const View& first, const View& second) {
  if (first.axes == second.axes && l.graph().shape(first.value) == l.graph().shape(second.value)) {
    return {apply(l, node, first.value, second.value), first.axes};
  }
  const size_t rank = std::max(first.axes.size(), second.axes.size());
  broadcast_dims(node, l.dims(first), l.dims(second));
  const View a = of_rank(first, rank), b = of_rank(second, rank);
  const auto elements = [&](const View& view) { return l.graph().shape(view.value).elements(); };
  const std::vector<int> order = l.natural_order(elements(a) >= elements(b) ? a : b);
  const Value p = l.arrange(node, a, order), q = l.arrange(node, b, order);
  return l.ordered_view(apply(l, node, p, q), order);
}

}  // namespace

void lower_binary(Lowering& l, const onnx::NodeProto& node) {
  Attributes(node).finish();
  const int count = node.input_size();
  KD_CHECK(count >= 1, "{}: no input", label(node));
  Entry entry;
  if (count == 1) {
    entry.view = l.view(node, 0);
  } else if (l.entry(node, 1).is_constant() && count == 2) {
    entry.view = with_constant(l, node, 0, 1);
  } else if (l.entry(node, 0).is_constant() && count == 2) {
    entry.view = with_constant(l, node, 1, 0);
  } else {
    entry.view = l.view(node, 0);
    for (int i = 1; i < count; ++i) {
      entry.view = of_tensors(l, node, entry.view, l.view(node, i));
    }
  }
  l.define(node.output(0), std::move(entry));
}

void lower_pow(Lowering& l, const onnx::NodeProto& node) {
  const View view = l.view(node, 0);
  const Array power = l.constant(node, 1);
  KD_CHECK(power.count() == 1, "{}: only one exponent for all elements is supported", label(node));
  const double p = power.at(0);
  Graph& g = l.graph();
  Value y = view.value;
  if (p == 0.5) {
    y = sqrt(g, y, node.name());
  } else {
    KD_CHECK(p >= 1 && p <= 8 && p == std::floor(p),
             "{}: an exponent of {}, expected 0.5 or a whole number from 1 to 8", label(node), p);
    for (int i = 1; i < static_cast<int>(p); ++i) y = mul(g, y, view.value, node.name());
  }
  define_like(l, node, view, y);
}

}  // namespace kd::onnx_import
