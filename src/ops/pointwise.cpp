// Pointwise arithmetic with broadcasting, and what undoes broadcasting.
#include <algorithm>

#include "ops/common.h"

namespace kd {
namespace {

// Right-aligned: dimensions are equal, or one of them is 1 or missing.
Shape broadcast_shape(const Node& node, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::vector<int64_t> dims(static_cast<size_t>(rank));
  for (int axis = 0; axis < rank; ++axis) {
    const int in_a = axis - (rank - a.rank()), in_b = axis - (rank - b.rank());
    const int64_t size_a = in_a < 0 ? 1 : a[in_a], size_b = in_b < 0 ? 1 : b[in_b];
    KD_CHECK(size_a == size_b || size_a == 1 || size_b == 1, "{}: {} and {} do not broadcast",
             label(node), a, b);
    dims[static_cast<size_t>(axis)] = size_a == 1 ? size_b : size_a;
  }
  return Shape(std::span<const int64_t>(dims));
}

std::vector<TensorDesc> infer_binary(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  const TensorDesc &a = in_desc(graph, node, 0), &b = in_desc(graph, node, 1);
  KD_CHECK(is_float(a.dtype) && a.dtype == b.dtype, "{}: inputs {} and {}, expected one float type",
           label(node), a.str(), b.str());
  return {{a.dtype, broadcast_shape(node, a.shape, b.shape)}};
}

// Sums a gradient down to the shape of the operand it belongs to.
Value reduced(Graph& graph, Value gradient, Value operand) {
  const Shape shape = graph.shape(operand);
  return graph.shape(gradient) == shape ? gradient : sum_to(graph, gradient, shape);
}

void vjp_add(Graph& graph, const Node& node, Grads& grads) {
  const Value dy = grads.of(node.outputs[0]);
  for (const Value input : node.inputs) {
    if (grads.needs(input)) grads.add(input, reduced(graph, dy, input));
  }
}

void vjp_mul(Graph& graph, const Node& node, Grads& grads) {
  const Value dy = grads.of(node.outputs[0]), a = node.inputs[0], b = node.inputs[1];
  if (grads.needs(a)) grads.add(a, reduced(graph, mul(graph, dy, b), a));
  if (grads.needs(b)) grads.add(b, reduced(graph, mul(graph, dy, a), b));
}

void vjp_div(Graph& graph, const Node& node, Grads& grads) {
  const Value y = node.outputs[0], dy = grads.of(y), a = node.inputs[0], b = node.inputs[1];
  const Value scaled = div(graph, dy, b);
  if (grads.needs(a)) grads.add(a, reduced(graph, scaled, a));
  if (grads.needs(b)) grads.add(b, reduced(graph, affine(graph, mul(graph, scaled, y), -1), b));
}

void vjp_affine(Graph& graph, const Node& node, Grads& grads) {
  grads.add(node.inputs[0],
            affine(graph, grads.of(node.outputs[0]), node.attr<AffineAttrs>().factor));
}

void vjp_exp(Graph& graph, const Node& node, Grads& grads) {
  grads.add(node.inputs[0], mul(graph, grads.of(node.outputs[0]), node.outputs[0]));
}

void vjp_log(Graph& graph, const Node& node, Grads& grads) {
  grads.add(node.inputs[0], div(graph, grads.of(node.outputs[0]), node.inputs[0]));
}
void vjp_sqrt(Graph& graph, const Node& node, Grads& grads) {
  grads.add(node.inputs[0],
            div(graph, affine(graph, grads.of(node.outputs[0]), 0.5), node.outputs[0]));
}

Shape target(const Node& node) {
  return Shape(std::span<const int64_t>(node.attr<DimsAttrs>().dims));
}

std::vector<TensorDesc> infer_sum_to(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const Shape &x = in_desc(graph, node, 0).shape, y = target(node);
  KD_CHECK(y.rank() <= x.rank() && broadcast_shape(node, x, y) == x, "{}: {} can't be summed to {}",
           label(node), x, y);
  return {{expect_float(graph, node, 0), y}};
}

void vjp_sum_to(Graph& graph, const Node& node, Grads& grads) {
  const Shape shape = graph.shape(node.inputs[0]);
  grads.add(node.inputs[0], broadcast_to(graph, grads.of(node.outputs[0]), shape));
}

std::vector<TensorDesc> infer_broadcast_to(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const Shape &x = in_desc(graph, node, 0).shape, y = target(node);
  KD_CHECK(x.rank() <= y.rank() && broadcast_shape(node, x, y) == y, "{}: {} can't become {}",
           label(node), x, y);
  return {{expect_float(graph, node, 0), y}};
}

void vjp_broadcast_to(Graph& graph, const Node& node, Grads& grads) {
  grads.add(node.inputs[0], reduced(graph, grads.of(node.outputs[0]), node.inputs[0]));
}

std::vector<TensorDesc> infer_cast(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  expect_float(graph, node, 0);
  const DType to = node.attr<CastAttrs>().to;
  KD_CHECK(is_float(to), "{}: to {}, expected a float type", label(node), name_of(to));
  return {{to, in_desc(graph, node, 0).shape}};
}

void vjp_cast(Graph& graph, const Node& node, Grads& grads) {
  grads.add(node.inputs[0],
            cast(graph, grads.of(node.outputs[0]), graph.desc(node.inputs[0]).dtype, node.name));
}

std::vector<TensorDesc> infer_fill(const Graph&, const Node& node) {
  expect_inputs(node, 0, 0);
  return {{DType::f32, Shape(std::span<const int64_t>(node.attr<FillAttrs>().dims))}};
}

Cost sum_cost(const Graph& graph, const Node& node) {
  Cost cost = copy_cost(graph, node);
  cost.flops = static_cast<double>(graph.shape(node.inputs[0]).elements());
  return cost;
}

std::vector<int64_t> dims_of(const Shape& shape) {
  return {shape.dims().begin(), shape.dims().end()};
}

}  // namespace

const OpDef op_add{"add",   OpKind::base,   infer_binary,      vjp_add,
                   nullptr, pointwise_cost, Alias::in_place(0)};
const OpDef op_mul{"mul",   OpKind::base,   infer_binary,      vjp_mul,
                   nullptr, pointwise_cost, Alias::in_place(0)};
const OpDef op_div{"div",   OpKind::base,   infer_binary,      vjp_div,
                   nullptr, pointwise_cost, Alias::in_place(0)};
const OpDef op_affine{"affine", OpKind::base,   infer_like_first,  vjp_affine,
                      nullptr,  pointwise_cost, Alias::in_place(0)};
const OpDef op_exp{"exp",   OpKind::base,   infer_like_first,  vjp_exp,
                   nullptr, pointwise_cost, Alias::in_place(0)};
const OpDef op_log{"log",   OpKind::base,   infer_like_first,  vjp_log,
                   nullptr, pointwise_cost, Alias::in_place(0)};
const OpDef op_sqrt{"sqrt",  OpKind::base,   infer_like_first,  vjp_sqrt,
                    nullptr, pointwise_cost, Alias::in_place(0)};
const OpDef op_sum_to{"sum_to", OpKind::base, infer_sum_to, vjp_sum_to, nullptr, sum_cost};
const OpDef op_broadcast_to{"broadcast_to",   OpKind::base, infer_broadcast_to,
                            vjp_broadcast_to, nullptr,      copy_cost};
const OpDef op_cast{"cast", OpKind::base, infer_cast, vjp_cast, nullptr, copy_cost};
const OpDef op_fill{"fill", OpKind::base, infer_fill, nullptr, nullptr, copy_cost};

Value add(Graph& graph, Value a, Value b, std::string name) {
  return graph.add(op_add, {a, b}, NoAttrs{}, std::move(name))[0];
}
Value mul(Graph& graph, Value a, Value b, std::string name) {
  return graph.add(op_mul, {a, b}, NoAttrs{}, std::move(name))[0];
}
Value div(Graph& graph, Value a, Value b, std::string name) {
  return graph.add(op_div, {a, b}, NoAttrs{}, std::move(name))[0];
}
Value affine(Graph& graph, Value x, double factor, double offset, std::string name) {
  return graph.add(op_affine, {x}, AffineAttrs{factor, offset}, std::move(name))[0];
}
Value sub(Graph& graph, Value a, Value b) { return add(graph, a, affine(graph, b, -1)); }
Value log(Graph& graph, Value x, std::string name) {
  return graph.add(op_log, {x}, NoAttrs{}, std::move(name))[0];
}
Value sqrt(Graph& graph, Value x, std::string name) {
  return graph.add(op_sqrt, {x}, NoAttrs{}, std::move(name))[0];
}
Value exp(Graph& graph, Value x, std::string name) {
  return graph.add(op_exp, {x}, NoAttrs{}, std::move(name))[0];
}
Value cast(Graph& graph, Value x, DType to, std::string name) {
  return graph.add(op_cast, {x}, CastAttrs{to}, std::move(name))[0];
}
Value sum_to(Graph& graph, Value x, const Shape& shape, std::string name) {
  return graph.add(op_sum_to, {x}, DimsAttrs{dims_of(shape)}, std::move(name))[0];
}
Value broadcast_to(Graph& graph, Value x, const Shape& shape, std::string name) {
  return graph.add(op_broadcast_to, {x}, DimsAttrs{dims_of(shape)}, std::move(name))[0];
}
Value mean(Graph& graph, Value x, std::string name) {
  const double count = static_cast<double>(graph.shape(x).elements());
  return affine(graph, sum_to(graph, x, {}, name), 1 / count, 0, name);
}
Value fill(Graph& graph, const Shape& shape, double value) {
  return graph.add(op_fill, {}, FillAttrs{dims_of(shape), value})[0];
}

}  // namespace kd
