// A graph of f32 values in a 16-bit type: weights and activations are lowered; batch norm's
// vectors, a linear layer's bias (and so the logits), statistics and losses stay f32.
//
//   before: v3 f32 = conv2d (input f32, w f32)         after: v3 f16 = conv2d (input f16, w f16)
//           v4 f32 = batch_norm (v3, gamma f32, ...)          v4 f16 = batch_norm (v3, gamma f32,
//           ...) y f32  = linear (v9, fc f32, bias f32)            y f32  = linear (v9 f16, fc f16,
//           bias f32)
#include <set>

#include "kd/error.h"
#include "kd/passes.h"
#include "ops/table.h"

namespace kd {
namespace {

bool is_norm(const Node& node) {
  return node.op == &op_batch_norm || node.op == &op_batch_norm_train ||
         node.op == &op_batch_norm_relu_train;
}

// Inputs that keep f32 whatever the type of the rest.
bool stays_f32(const Node& node, size_t input) {
  return (is_norm(node) && input >= 1 && input <= 4) || (node.op == &op_linear && input == 2);
}

std::set<std::string> leaves_that_stay(const Graph& graph) {
  std::set<std::string> names;
  for (const Node& node : graph.nodes()) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueInfo& value = graph.info(node.inputs[i]);
      if (value.role != Role::activation && stays_f32(node, i)) names.insert(value.name);
    }
  }
  return names;
}

}  // namespace

ModelGraph lower_precision(const ModelGraph& model, DType to) {
  if (to == DType::f32) return model;
  KD_CHECK(to == DType::f16 || to == DType::bf16, "a graph can't be lowered to {}", name_of(to));
  const std::set<std::string> stay = leaves_that_stay(model.graph);
  const LeafDesc lowered_leaf = [&](const ValueInfo& value) {
    TensorDesc desc = value.desc;
    if (desc.dtype == DType::f32 && !stay.contains(value.name)) desc.dtype = to;
    return desc;
  };
  // Where f32 meets 16 bits (after a linear layer, say), f32 is rounded.
  const NodeRewrite meet = [to](Graph& made, const Node& node, const std::vector<Value>& inputs) {
    std::vector<Value> in = inputs;
    bool any_low = false;
    for (const Value v : in) any_low = any_low || made.desc(v).dtype == to;
    for (size_t i = 0; any_low && i < in.size(); ++i) {
      if (made.desc(in[i]).dtype == DType::f32 && !stays_f32(node, i)) {
        in[i] = cast(made, in[i], to, node.name);
      }
    }
    return made.add(*node.op, in, node.attrs, node.name);
  };
  Replayed lowered = replay(model.graph, lowered_leaf, meet);
  const auto now = [&](Value v) { return lowered.values[static_cast<size_t>(v.id)]; };
  ModelGraph made{{}, now(model.input), now(model.logits), {}};
  for (const Value tap : model.taps) made.taps.push_back(now(tap));
  if (lowered.graph.desc(made.logits).dtype != DType::f32) {
    made.logits = cast(lowered.graph, made.logits, DType::f32);
  }
  made.graph = std::move(lowered.graph);
  return made;
}

}  // namespace kd
