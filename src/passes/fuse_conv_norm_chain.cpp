// conv - batch norm - ReLU chains of a differentiated graph: four rewrites, each right on its own,
// each finding what the one before has made. Values keep their ids, so what is asked for from
// outside stays where it was.
#include <algorithm>
#include <optional>

#include "kd/passes.h"
#include "ops/table.h"
#include "passes/uses.h"

namespace kd {
namespace {

using Supported = std::function<bool(const Graph&, const Node&)>;

// What becomes of each node, by its index: itself, nothing, or several nodes in its place.
class Replacement {
 public:
  explicit Replacement(Graph& graph) : graph_(graph) {
    for (const Node& node : graph.nodes()) nodes_.push_back({node});
  }
  std::vector<Node>& at(int index) { return nodes_.at(static_cast<size_t>(index)); }
  void apply() {
    std::vector<Node> all;
    for (std::vector<Node>& several : nodes_) std::ranges::move(several, std::back_inserter(all));
    graph_.set_nodes(std::move(all));
  }

 private:
  Graph& graph_;
  std::vector<std::vector<Node>> nodes_;
};

// A node that is not in the graph yet. The first of its outputs are `outputs`, the rest are new.
Node made(Graph& graph, const OpDef& op, const std::string& name, std::vector<Value> inputs,
          std::any attrs, std::vector<Value> outputs) {
  Node node{&op, name, std::move(inputs), std::move(outputs), std::move(attrs)};
  const std::vector<TensorDesc> descs = op.infer(graph, node);
  for (size_t i = node.outputs.size(); i < descs.size(); ++i) {
    node.outputs.push_back(graph.new_activation(descs[i]));
  }
  return node;
}

const Node* producer(const Graph& graph, Value v) {
  const int at = graph.producer(v);
  return at < 0 ? nullptr : &graph.nodes()[static_cast<size_t>(at)];
}

int node_count(const Graph& graph) { return static_cast<int>(graph.nodes().size()); }

// --- 1. statistics in the convolution ------------------------------------------------------------
//   y = conv2d (x, w)
//   a, mean, var = batch_norm_relu_train (y, gamma, beta, running_mean, running_var [, residual])
// becomes
//   y, sum, squares = conv2d_stats (x, w)
//   mean, var, scale, bias = norm_finalize (sum, squares, gamma, beta, running_mean, running_var)
//   a = scale_bias_relu (y, scale, bias [, residual])
// and, where it was batch_norm_train, a = batch_norm (y, gamma, beta, mean, var).

// The convolution that makes y, with statistics; asked for twice, it is made once.
const Node* stats_of(Graph& graph, Replacement& replacement, Value y, const Supported& supported) {
  const int at = graph.producer(y);
  if (at < 0) return nullptr;
  Node& conv = replacement.at(at).front();
  if (conv.op == &op_conv2d) {
    Node stats = made(graph, op_conv2d_stats, conv.name, conv.inputs, conv.attrs, {y});
    if (supported(graph, stats)) conv = std::move(stats);
  }
  return conv.op == &op_conv2d_stats ? &conv : nullptr;
}

std::vector<Node> finalize_and_apply(Graph& graph, const Node& stats, const Node& norm) {
  const auto& in = norm.inputs;
  const auto& attrs = norm.attr<BatchNormAttrs>();
  const Shape& y = graph.shape(in[0]);
  const NormFinalizeAttrs finalize{attrs.eps, attrs.momentum, y[0] * y[1] * y[2]};
  const Node vectors = made(graph, op_norm_finalize, norm.name,
                            {stats.outputs[1], stats.outputs[2], in[1], in[2], in[3], in[4]},
                            finalize, {norm.outputs[1], norm.outputs[2]});
  const Value mean = vectors.outputs[0], var = vectors.outputs[1];
  if (norm.op == &op_batch_norm_train) {
    return {vectors, made(graph, op_batch_norm, norm.name, {in[0], in[1], in[2], mean, var}, attrs,
                          {norm.outputs[0]})};
  }
  std::vector<Value> inputs{in[0], vectors.outputs[2], vectors.outputs[3]};
  if (in.size() == 6) inputs.push_back(in[5]);
  return {vectors, made(graph, op_scale_bias_relu, norm.name, std::move(inputs), NoAttrs{},
                        {norm.outputs[0]})};
}

void take_statistics(Graph& graph, const Supported& supported) {
  Replacement replacement(graph);
  for (int i = 0; i < node_count(graph); ++i) {
    const Node& norm = graph.nodes()[static_cast<size_t>(i)];
    if (norm.op != &op_batch_norm_train && norm.op != &op_batch_norm_relu_train) continue;
    const Node* stats = stats_of(graph, replacement, norm.inputs[0], supported);
    if (stats != nullptr) replacement.at(i) = finalize_and_apply(graph, *stats, norm);
  }
  replacement.apply();
}

// --- 2. the shortcut's batch norm in the residual sum --------------------------------------------
//   r = batch_norm (y', gamma', beta', mean', var')       mean', var', scale', bias' of
//   norm_finalize a = scale_bias_relu (y, scale, bias, r)
// becomes
//   a = scale_bias_relu (y, scale, bias, y', scale', bias')

void take_shortcuts(Graph& graph, const Uses& uses) {
  Replacement replacement(graph);
  for (int i = 0; i < node_count(graph); ++i) {
    Node& sum = replacement.at(i).front();
    if (sum.op != &op_scale_bias_relu || sum.inputs.size() != 4) continue;
    const Value r = sum.inputs[3];
    const Node* norm = producer(graph, r);
    if (norm == nullptr || norm->op != &op_batch_norm || uses.only(r) != i) continue;
    const Node* vectors = producer(graph, norm->inputs[3]);
    if (vectors == nullptr || vectors->op != &op_norm_finalize) continue;
    sum.inputs[3] = norm->inputs[0];
    sum.inputs.insert(sum.inputs.end(), {vectors->outputs[2], vectors->outputs[3]});
    replacement.at(graph.producer(r)).clear();
  }
  replacement.apply();
}

// --- 3. the gradients of ReLU and batch norm in the convolution's --------------------------------
//   a = scale_bias_relu (x, scale, bias)
//   da = conv2d_dgrad (dy, w)
//   dx, dgamma, dbeta = batch_norm_relu_backward (da, a, x, gamma, mean, var)
// becomes
//   a = scale_bias_relu (x, scale, bias)
//   dz, dgamma, dbeta = conv2d_dgrad_relu_norm (dy, w, x, scale, bias, mean, var)
//   dx = norm_input_grad (dz, x, gamma, mean, var, dgamma, dbeta)

// The two nodes for a batch_norm_relu_backward; none where something keeps it as it is.
std::vector<Node> fused_backward(Graph& graph, const Node& norm, const Supported& supported) {
  const auto& in = norm.inputs;
  const Node *dgrad = producer(graph, in[0]), *activation = producer(graph, in[1]);
  if (dgrad == nullptr || dgrad->op != &op_conv2d_dgrad) return {};
  if (activation == nullptr || activation->op != &op_scale_bias_relu) return {};
  const auto& scaled = activation->inputs;
  if (scaled.size() != 3 || scaled[0] != in[2]) return {};
  const auto& conv = dgrad->attr<Conv2dGradAttrs>();
  const double eps = norm.attr<BatchNormReluGradAttrs>().eps;
  const Value dz = graph.new_activation(graph.desc(in[2]));
  const Node sums =
      made(graph, op_conv2d_dgrad_relu_norm, dgrad->name,
           {dgrad->inputs[0], dgrad->inputs[1], scaled[0], scaled[1], scaled[2], in[4], in[5]},
           Conv2dDgradNormAttrs{conv.conv, conv.size, eps}, {dz, norm.outputs[1], norm.outputs[2]});
  if (!supported(graph, sums)) return {};
  const Node input_grad = made(graph, op_norm_input_grad, norm.name,
                               {dz, in[2], in[3], in[4], in[5], norm.outputs[1], norm.outputs[2]},
                               NormInputGradAttrs{eps}, {norm.outputs[0]});
  return {sums, input_grad};
}

void take_gradients(Graph& graph, const Uses& uses, const Supported& supported) {
  Replacement replacement(graph);
  for (int i = 0; i < node_count(graph); ++i) {
    const Node& norm = graph.nodes()[static_cast<size_t>(i)];
    if (norm.op != &op_batch_norm_relu_backward || uses.only(norm.inputs[0]) != i) continue;
    if (norm.attr<BatchNormReluGradAttrs>().residual) continue;
    std::vector<Node> fused = fused_backward(graph, norm, supported);
    if (fused.empty()) continue;
    replacement.at(graph.producer(norm.inputs[0])).clear();
    replacement.at(i) = std::move(fused);
  }
  replacement.apply();
}

// --- 4. the activation in all that reads it ------------------------------------------------------
//   a = scale_bias_relu (x, scale, bias)
//   y, sum, squares = conv2d_stats (a, w)
//   dw = conv2d_wgrad (a, dy)
// becomes, if nothing but such nodes reads a
//   y, sum, squares = scale_bias_relu_conv2d_stats (x, scale, bias, w)
//   dw = scale_bias_relu_conv2d_wgrad (x, scale, bias, dy)

// The node that takes a's triple instead of a.
std::optional<Node> with_prologue(Graph& graph, const Node& user, const Node& activation) {
  const bool stats = user.op == &op_conv2d_stats;
  if (!stats && user.op != &op_conv2d_wgrad) return {};
  if (user.inputs[1] == activation.outputs[0]) return {};  // only the first operand has a prologue
  std::vector<Value> inputs = activation.inputs;
  inputs.push_back(user.inputs[1]);
  return made(graph, stats ? op_scale_bias_relu_conv2d_stats : op_scale_bias_relu_conv2d_wgrad,
              user.name, std::move(inputs), user.attrs, user.outputs);
}

void take_activations(Graph& graph, const Uses& uses, const Supported& supported) {
  Replacement replacement(graph);
  for (int i = 0; i < node_count(graph); ++i) {
    const Node& activation = graph.nodes()[static_cast<size_t>(i)];
    if (activation.op != &op_scale_bias_relu || activation.inputs.size() != 3) continue;
    const std::vector<int>& users = uses.all(activation.outputs[0]);
    std::vector<Node> fused;
    for (const int user : users) {
      if (user < 0) break;  // the outside wants it
      std::optional<Node> node =
          with_prologue(graph, graph.nodes()[static_cast<size_t>(user)], activation);
      if (!node || !supported(graph, *node)) break;
      fused.push_back(std::move(*node));
    }
    if (fused.size() != users.size()) continue;
    for (size_t u = 0; u < users.size(); ++u) replacement.at(users[u]) = {std::move(fused[u])};
    replacement.at(i).clear();
  }
  replacement.apply();
}

}  // namespace

void fuse_conv_norm_chain(Graph& graph, std::span<const Value> keep, const Supported& supported) {
  take_statistics(graph, supported);
  take_shortcuts(graph, Uses(graph, keep));
  take_gradients(graph, Uses(graph, keep), supported);
  take_activations(graph, Uses(graph, keep), supported);
}

}  // namespace kd
