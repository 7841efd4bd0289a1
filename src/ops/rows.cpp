// Rows of logits: softmax, log_softmax, one-hot labels, the largest, top-k, and dropout.
#include "ops/common.h"

namespace kd {
namespace {

std::vector<TensorDesc> infer_rows(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  expect_float(graph, node, 0, 2);
  KD_CHECK(node.attr<SoftmaxAttrs>().temperature > 0, "{}: temperature {} must be above 0",
           label(node), node.attr<SoftmaxAttrs>().temperature);
  return {in_desc(graph, node, 0)};
}

// The gradient from dy and y.
std::vector<TensorDesc> infer_backward(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  expect_float(graph, node, 0, 2);
  const TensorDesc &dy = in_desc(graph, node, 0), &y = in_desc(graph, node, 1);
  KD_CHECK(dy == y, "{}: dy is {}, y is {}", label(node), dy.str(), y.str());
  return {dy};
}

// dx = y (dy - sum(dy y)) / T
void vjp_softmax(Graph& graph, const Node& node, Grads& grads) {
  const Value y = node.outputs[0];
  grads.add(node.inputs[0], graph.add(op_softmax_backward, {grads.of(y), y},
                                      node.attr<SoftmaxAttrs>(), node.name)[0]);
}

// dx = (dy - softmax(x/T) sum(dy)) / T
void vjp_log_softmax(Graph& graph, const Node& node, Grads& grads) {
  const Value y = node.outputs[0];
  grads.add(node.inputs[0], graph.add(op_log_softmax_backward, {grads.of(y), y},
                                      node.attr<SoftmaxAttrs>(), node.name)[0]);
}

std::vector<TensorDesc> infer_one_hot(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  expect_input(graph, node, 0, DType::i32, 1);
  const auto& attrs = node.attr<OneHotAttrs>();
  KD_CHECK(attrs.classes >= 1 && attrs.smoothing >= 0 && attrs.smoothing <= 1,
           "{}: {} classes, smoothing {}", label(node), attrs.classes, attrs.smoothing);
  return {{DType::f32, {in_desc(graph, node, 0).shape[0], attrs.classes}}};
}

std::vector<TensorDesc> infer_arg_max(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  expect_float(graph, node, 0, 2);
  return {{DType::i32, {in_desc(graph, node, 0).shape[0]}}};
}

std::vector<TensorDesc> infer_top_k(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 2);
  expect_float(graph, node, 0, 2);
  expect_input(graph, node, 1, DType::i32, 1);
  expect_shape(graph, node, 1, {in_desc(graph, node, 0).shape[0]});
  KD_CHECK(node.attr<TopKAttrs>().k >= 1, "{}: k is {}", label(node), node.attr<TopKAttrs>().k);
  return {{DType::i32, {}}};
}

std::vector<TensorDesc> infer_dropout(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 2);
  const double rate = node.attr<DropoutAttrs>().rate;
  KD_CHECK(rate >= 0 && rate < 1, "{}: rate {} must be in [0, 1)", label(node), rate);
  if (node.inputs.size() == 2) {
    expect_input(graph, node, 1, DType::i64, 1);
    expect_shape(graph, node, 1, {2});
  }
  return {in_desc(graph, node, 0)};
}

void vjp_dropout(Graph& graph, const Node& node, Grads& grads) {
  KD_CHECK(node.inputs.size() == 2, "{} has no key: it is not in training form", label(node));
  const auto attrs = node.attr<DropoutAttrs>();
  grads.add(node.inputs[0],
            dropout(graph, grads.of(node.outputs[0]), node.inputs[1], attrs, node.name));
}

Cost softmax_cost(const Graph& graph, const Node& node) { return moved(graph, node, 4); }

}  // namespace

const OpDef op_softmax{"softmax", OpKind::base, infer_rows, vjp_softmax, nullptr, softmax_cost};
const OpDef op_log_softmax{"log_softmax",   OpKind::base, infer_rows,
                           vjp_log_softmax, nullptr,      softmax_cost};
const OpDef op_softmax_backward{"softmax_backward", OpKind::base, infer_backward, nullptr, nullptr,
                                softmax_cost};
const OpDef op_log_softmax_backward{
    "log_softmax_backward", OpKind::base, infer_backward, nullptr, nullptr, softmax_cost};
const OpDef op_one_hot{"one_hot", OpKind::base, infer_one_hot, nullptr, nullptr, copy_cost};
const OpDef op_arg_max{"arg_max", OpKind::base, infer_arg_max, nullptr, nullptr, copy_cost};
const OpDef op_top_k_correct{"top_k_correct", OpKind::base, infer_top_k,
                             nullptr,         nullptr,      copy_cost};
const OpDef op_dropout{"dropout", OpKind::base,   infer_dropout,     vjp_dropout,
                       nullptr,   pointwise_cost, Alias::in_place(0)};

Value softmax(Graph& graph, Value x, double temperature, std::string name) {
  return graph.add(op_softmax, {x}, SoftmaxAttrs{temperature}, std::move(name))[0];
}
Value log_softmax(Graph& graph, Value x, double temperature, std::string name) {
  return graph.add(op_log_softmax, {x}, SoftmaxAttrs{temperature}, std::move(name))[0];
}
Value one_hot(Graph& graph, Value labels, int64_t classes, double smoothing, std::string name) {
  return graph.add(op_one_hot, {labels}, OneHotAttrs{classes, smoothing}, std::move(name))[0];
}
Value arg_max(Graph& graph, Value x, std::string name) {
  return graph.add(op_arg_max, {x}, NoAttrs{}, std::move(name))[0];
}
Value top_k_correct(Graph& graph, Value logits, Value labels, int k, std::string name) {
  return graph.add(op_top_k_correct, {logits, labels}, TopKAttrs{k}, std::move(name))[0];
}
Value dropout(Graph& graph, Value x, Value key, const DropoutAttrs& attrs, std::string name) {
  std::vector<Value> inputs{x};
  if (key) inputs.push_back(key);
  return graph.add(op_dropout, std::move(inputs), attrs, std::move(name))[0];
}

}  // namespace kd
