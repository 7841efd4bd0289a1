// Matrix products: the fully connected layer and its gradients, and batches of products.
#include "ops/common.h"

namespace kd {
namespace {

std::vector<TensorDesc> infer_linear(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 3);
  const DType dtype = expect_float(graph, node, 0, 2);
  expect_input(graph, node, 1, dtype, 2);
  const Shape &x = in_desc(graph, node, 0).shape, &w = in_desc(graph, node, 1).shape;
  KD_CHECK(x[1] == w[1], "{}: weight {} takes {} features, input {} has {}", label(node), w, w[1],
           x, x[1]);
  if (node.inputs.size() == 2) return {{dtype, {x[0], w[0]}}};
  expect_shape(graph, node, 2, {w[0]});
  const DType out = expect_float(graph, node, 2, 1);
  KD_CHECK(out == dtype || out == DType::f32, "{}: the bias is {}, expected {} or f32", label(node),
           name_of(out), name_of(dtype));
  return {{out, {x[0], w[0]}}};
}

std::vector<TensorDesc> infer_dgrad(const Graph& graph, const Node& node) {  // dy, w
  expect_inputs(node, 2, 2);
  const Shape &dy = in_desc(graph, node, 0).shape, &w = in_desc(graph, node, 1).shape;
  KD_CHECK(dy.rank() == 2 && w.rank() == 2 && dy[1] == w[0], "{}: gradient {} and weight {}",
           label(node), dy, w);
  expect_dtype(graph, node, 1, expect_float(graph, node, 0));
  return {{in_desc(graph, node, 0).dtype, {dy[0], w[1]}}};
}

std::vector<TensorDesc> infer_wgrad(const Graph& graph, const Node& node) {  // x, dy
  expect_inputs(node, 2, 2);
  const Shape &x = in_desc(graph, node, 0).shape, &dy = in_desc(graph, node, 1).shape;
  KD_CHECK(dy.rank() == 2 && x.rank() == 2 && dy[0] == x[0], "{}: input {} and gradient {}",
           label(node), x, dy);
  expect_dtype(graph, node, 1, expect_float(graph, node, 0));
  return {{in_desc(graph, node, 0).dtype, {dy[1], x[1]}}};
}

void vjp_linear(Graph& graph, const Node& node, Grads& grads) {
  const Value x = node.inputs[0], w = node.inputs[1], arrived = grads.of(node.outputs[0]);
  if (node.inputs.size() == 3 && grads.needs(node.inputs[2])) {
    const Shape bias = graph.shape(node.inputs[2]);
    grads.add(node.inputs[2], sum_to(graph, arrived, bias, node.name));
  }
  const DType dtype = graph.desc(x).dtype;
  const Value dy =
      graph.desc(arrived).dtype == dtype ? arrived : cast(graph, arrived, dtype, node.name);
  if (grads.needs(w)) {
    grads.add(w, graph.add(op_linear_wgrad, {x, dy}, NoAttrs{}, node.name)[0]);
  }
  if (grads.needs(x)) {
    grads.add(x, graph.add(op_linear_dgrad, {dy, w}, NoAttrs{}, node.name)[0]);
  }
}

// 2 N D K of all three: the product of the two matrices' common and free dimensions.
Cost linear_cost(const Graph& graph, const Node& node) {
  Cost cost = copy_cost(graph, node);
  const Shape &a = in_desc(graph, node, 0).shape, &b = in_desc(graph, node, 1).shape;
  const int64_t free = node.op == &op_linear ? b[0] : b[1];
  cost.flops = 2.0 * static_cast<double>(a.elements()) * static_cast<double>(free);
  return cost;
}

// Of matrices that may be transposed: rows and columns of the product's operand.
struct Operand {
  int64_t rows, columns;
  Operand(const Shape& shape, bool transposed)
      : rows(shape[transposed ? 2 : 1]), columns(shape[transposed ? 1 : 2]) {}
};

std::vector<TensorDesc> infer_batched(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  const DType dtype = expect_float(graph, node, 0, 3);
  expect_input(graph, node, 1, dtype, 3);
  const auto& attrs = node.attr<BatchedMatmulAttrs>();
  const Shape &a = in_desc(graph, node, 0).shape, &b = in_desc(graph, node, 1).shape;
  const Operand left(a, attrs.transpose_a), right(b, attrs.transpose_b);
  KD_CHECK(a[0] == b[0] && left.columns == right.rows, "{}: {}{} times {}{}", label(node), a,
           attrs.transpose_a ? " transposed" : "", b, attrs.transpose_b ? " transposed" : "");
  return {{dtype, {a[0], left.rows, right.columns}}};
}

// With A and B the operands as multiplied: dA = dC B^T, dB = A^T dC, each transposed where its
// input is.
void vjp_batched(Graph& graph, const Node& node, Grads& grads) {
  const Value a = node.inputs[0], b = node.inputs[1], dc = grads.of(node.outputs[0]);
  const auto [of_a, of_b] = node.attr<BatchedMatmulAttrs>();
  if (grads.needs(a)) {
    grads.add(a, of_a ? batched_matmul(graph, b, dc, {of_b, true}, node.name)
                      : batched_matmul(graph, dc, b, {false, !of_b}, node.name));
  }
  if (grads.needs(b)) {
    grads.add(b, of_b ? batched_matmul(graph, dc, a, {true, of_a}, node.name)
                      : batched_matmul(graph, a, dc, {!of_a, false}, node.name));
  }
}

Cost batched_cost(const Graph& graph, const Node& node) {  // 2 G M N K
  const Operand left(in_desc(graph, node, 0).shape, node.attr<BatchedMatmulAttrs>().transpose_a);
  return moved(graph, node, 2.0 * static_cast<double>(left.columns));
}

}  // namespace

const OpDef op_batched_matmul{"batched_matmul", OpKind::base, infer_batched,
                              vjp_batched,      nullptr,      batched_cost};
const OpDef op_linear{"linear", OpKind::base, infer_linear, vjp_linear, nullptr, linear_cost};
const OpDef op_linear_dgrad{"linear_dgrad", OpKind::base, infer_dgrad,
                            nullptr,        nullptr,      linear_cost};
const OpDef op_linear_wgrad{"linear_wgrad", OpKind::base, infer_wgrad,
                            nullptr,        nullptr,      linear_cost};

Value linear(Graph& graph, Value x, Value w, Value bias, std::string name) {
  std::vector<Value> inputs{x, w};
  if (bias) inputs.push_back(bias);
  return graph.add(op_linear, std::move(inputs), NoAttrs{}, std::move(name))[0];
}

Value batched_matmul(Graph& graph, Value a, Value b, const BatchedMatmulAttrs& attrs,
                     std::string name) {
  return graph.add(op_batched_matmul, {a, b}, attrs, std::move(name))[0];
}

}  // namespace kd
