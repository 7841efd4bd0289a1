// What every model can do, whoever built it: count, and take the form that training or inference
// needs.
#include "kd/model.h"

#include "kd/ops.h"
#include "ops/table.h"

namespace kd {

int64_t Model::parameter_count() const {
  int64_t count = 0;
  for (const Value v : graph.leaves(Role::parameter)) count += graph.shape(v).elements();
  return count;
}

namespace {

// batch_norm -> batch_norm_train; dropout gets the key and a number of its own.
NodeRewrite training_form(Value& key, const InstantiateOptions& options) {
  return [&key, &options, dropouts = int64_t{0}](
             Graph& graph, const Node& node,
             const std::vector<Value>& in) mutable -> std::vector<Value> {
    if (node.op == &op_batch_norm) {
      if (options.frozen && options.frozen(graph.info(in[1]).name)) return {};
      const BatchNormWeights weights{in[1], in[2], in[3], in[4]};
      return {batch_norm_train(graph, in[0], weights, node.attr<BatchNormAttrs>(), node.name).y};
    }
    if (node.op == &op_dropout) {
      if (options.without_dropout) return {in[0]};
      if (!key) key = graph.input("dropout_key", {DType::i64, {2}});
      DropoutAttrs attrs = node.attr<DropoutAttrs>();
      attrs.tensor_id = dropouts++;
      return {dropout(graph, in[0], key, attrs, node.name)};
    }
    return {};
  };
}

std::vector<Value> inference_form(Graph&, const Node& node, const std::vector<Value>& inputs) {
  if (node.op == &op_dropout) return {inputs[0]};
  return {};
}

}  // namespace

ModelGraph instantiate(const Model& model, int64_t batch, Mode mode,
                       const InstantiateOptions& options) {
  const LeafDesc with_batch = [&](const ValueInfo& value) {
    TensorDesc desc = value.desc;
    if (value.role == Role::input) desc.shape.set(0, batch);
    return desc;
  };
  Value key;
  const NodeRewrite rewrite =
      mode == Mode::training ? training_form(key, options) : NodeRewrite(inference_form);
  Replayed made = replay(model.graph, with_batch, rewrite);
  const auto now = [&](Value v) { return made.values[static_cast<size_t>(v.id)]; };
  ModelGraph result{{}, now(model.input), now(model.logits), {}};
  for (const Value tap : options.taps) result.taps.push_back(now(tap));
  result.graph = std::move(made.graph);
  return result;
}

}  // namespace kd
