// Contrasting samples with a memory bank: products with chosen rows, which rows, updating them.
#include "ops/common.h"

namespace kd {
namespace {

std::vector<TensorDesc> infer_gather_dot(const Graph& graph, const Node& node) {
  expect_inputs(node, 3, 3);
  for (const size_t i : {size_t{0}, size_t{1}}) expect_input(graph, node, i, DType::f32, 2);
  expect_input(graph, node, 2, DType::i32, 2);
  const Shape &x = in_desc(graph, node, 0).shape, &bank = in_desc(graph, node, 1).shape;
  const Shape& index = in_desc(graph, node, 2).shape;
  KD_CHECK(x[1] == bank[1] && x[0] == index[0], "{}: x {}, bank {} and indices {} do not fit",
           label(node), x, bank, index);
  return {{DType::f32, index}};
}

void vjp_gather_dot(Graph& graph, const Node& node, Grads& grads) {
  const Value bank = node.inputs[1];
  KD_CHECK(!grads.needs(bank), "{}: its bank gets no gradient", label(node));
  grads.add(node.inputs[0],
            graph.add(op_gather_dot_backward, {grads.of(node.outputs[0]), bank, node.inputs[2]},
                      NoAttrs{}, node.name)[0]);
}

std::vector<TensorDesc> infer_gather_dot_backward(const Graph& graph, const Node& node) {
  expect_inputs(node, 3, 3);
  for (const size_t i : {size_t{0}, size_t{1}}) expect_input(graph, node, i, DType::f32, 2);
  expect_input(graph, node, 2, DType::i32, 2);
  const Shape& dy = in_desc(graph, node, 0).shape;
  expect_shape(graph, node, 2, dy);
  return {{DType::f32, {dy[0], in_desc(graph, node, 1).shape[1]}}};
}

// One multiplication and one addition for each of B J D.
Cost gather_cost(const Graph& graph, const Node& node) {
  Cost cost = copy_cost(graph, node);
  const auto products = static_cast<double>(in_desc(graph, node, 2).shape.elements());
  cost.flops = 2 * products * static_cast<double>(in_desc(graph, node, 1).shape[1]);
  return cost;
}

std::vector<TensorDesc> infer_negatives(const Graph& graph, const Node& node) {
  expect_inputs(node, 2, 3);
  expect_input(graph, node, 0, DType::i64, 1);
  expect_shape(graph, node, 0, {2});
  expect_input(graph, node, 1, DType::i32, 1);
  const auto& attrs = node.attr<NegativesAttrs>();
  constexpr int64_t kMostIds = int64_t{1} << 31, kMostCount = int64_t{1} << 30;
  KD_CHECK(attrs.count >= 1 && attrs.count < kMostCount && attrs.population >= 1 &&
               attrs.population < kMostIds && attrs.tensor_id >= 0 &&
               attrs.tensor_id < int64_t{1} << 32,
           "{}: {} of {} samples, tensor id {}", label(node), attrs.count, attrs.population,
           attrs.tensor_id);
  if (node.inputs.size() == 3) {
    expect_input(graph, node, 2, DType::i32, 1);
    expect_shape(graph, node, 2, {attrs.population});
  }
  return {{DType::i32, {in_desc(graph, node, 1).shape[0], 1 + attrs.count}}};
}

std::vector<TensorDesc> infer_bank_update(const Graph& graph, const Node& node) {
  expect_inputs(node, 3, 3);
  expect_input(graph, node, 0, DType::f32, 2);
  expect_input(graph, node, 1, DType::i32, 1);
  expect_input(graph, node, 2, DType::f32, 2);
  expect_shape(graph, node, 2,
               {in_desc(graph, node, 1).shape[0], in_desc(graph, node, 0).shape[1]});
  const double momentum = node.attr<BankUpdateAttrs>().momentum;
  KD_CHECK(momentum >= 0 && momentum <= 1, "{}: momentum {} must be in [0, 1]", label(node),
           momentum);
  return {};
}

// The rows of a batch: read from the bank and the features, written to the bank.
Cost bank_cost(const Graph& graph, const Node& node) {
  const auto elements = static_cast<double>(in_desc(graph, node, 2).shape.elements());
  return {elements * 4 * 3, elements * 6};
}

}  // namespace

const OpDef op_gather_dot{"gather_dot",   OpKind::base, infer_gather_dot,
                          vjp_gather_dot, nullptr,      gather_cost};
const OpDef op_gather_dot_backward{
    "gather_dot_backward", OpKind::base, infer_gather_dot_backward, nullptr, nullptr, gather_cost};
const OpDef op_sample_negatives{"sample_negatives", OpKind::base, infer_negatives, nullptr, nullptr,
                                copy_cost};
const OpDef op_bank_update{"bank_update", OpKind::base, infer_bank_update, nullptr,
                           nullptr,       bank_cost,    Alias::never(),    1u << 0};

Value gather_dot(Graph& graph, Value x, Value bank, Value index, std::string name) {
  return graph.add(op_gather_dot, {x, bank, index}, NoAttrs{}, std::move(name))[0];
}
Value sample_negatives(Graph& graph, Value key, Value ids, Value labels,
                       const NegativesAttrs& attrs, std::string name) {
  std::vector<Value> inputs{key, ids};
  if (labels) inputs.push_back(labels);
  return graph.add(op_sample_negatives, std::move(inputs), attrs, std::move(name))[0];
}
void bank_update(Graph& graph, Value bank, Value ids, Value features,
                 const BankUpdateAttrs& attrs) {
  graph.add(op_bank_update, {bank, ids, features}, attrs);
}

}  // namespace kd
