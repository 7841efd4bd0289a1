// The fused distillation loss: every weighted term's value and the gradient in one op. Its
// definition is the sum of the terms' own definitions in base ops (terms/).
#include "distill/terms/terms.h"
#include "ops/common.h"

namespace kd {
namespace {

struct LossInputs {
  Value student, teacher, labels, scale;
};

// Labels are the i32 input, the scale is the vector of floats, a second matrix is the teacher.
LossInputs inputs_of(const Graph& graph, const Node& node) {
  LossInputs inputs{node.inputs.at(0), {}, {}, {}};
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    const TensorDesc& desc = graph.desc(node.inputs[i]);
    Value& place = desc.dtype == DType::i32 ? inputs.labels
                   : desc.shape.rank() == 1 ? inputs.scale
                                            : inputs.teacher;
    place = node.inputs[i];
  }
  return inputs;
}

std::vector<TensorDesc> infer_loss(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 4);
  expect_float(graph, node, 0, 2);
  const LossInputs inputs = inputs_of(graph, node);
  const TensorDesc student = graph.desc(inputs.student);
  const auto& attrs = node.attr<DistillLossAttrs>();
  for (const TermDef* def : all_terms()) {
    if (!def->is_row_term()) continue;
    if (attrs.weight[static_cast<size_t>(def->slot)] == 0) continue;
    KD_CHECK(!def->needs_teacher || inputs.teacher, "{}: the term '{}' needs a teacher",
             label(node), def->name);
    KD_CHECK(!def->needs_labels || inputs.labels, "{}: the term '{}' needs labels", label(node),
             def->name);
  }
  KD_CHECK(!inputs.teacher || graph.desc(inputs.teacher) == student,
           "{}: student logits are {}, teacher logits {}", label(node), student.str(),
           graph.desc(inputs.teacher).str());
  KD_CHECK(!inputs.labels || graph.shape(inputs.labels) == Shape({student.shape[0]}),
           "{}: {} labels for {} rows", label(node), graph.desc(inputs.labels).str(),
           student.shape[0]);
  KD_CHECK(!inputs.scale || graph.desc(inputs.scale) == TensorDesc({DType::f32, {1}}),
           "{}: the loss scale is {}, expected f32 (1)", label(node),
           graph.desc(inputs.scale).str());
  return {{DType::f32, {}}, {DType::f32, {kLossTerms}}, student};
}

void vjp_loss(Graph& graph, const Node& node, Grads& grads) {
  const LossInputs inputs = inputs_of(graph, node);
  KD_CHECK(!grads.needs(inputs.teacher), "{}: the teacher gets no gradient", label(node));
  const Value dlogits = node.outputs[2];
  const DType dtype = graph.desc(dlogits).dtype;
  Value factor = grads.of(node.outputs[0]);
  if (graph.desc(factor).dtype != dtype) factor = cast(graph, factor, dtype);
  grads.add(inputs.student, mul(graph, dlogits, factor));
}

std::vector<Value> expand_loss(Graph& graph, const Node& node) {
  const auto attrs = node.attr<DistillLossAttrs>();
  const LossInputs inputs = inputs_of(graph, node);
  const Shape shape = graph.shape(inputs.student);
  std::vector<Value> values(kLossTerms);
  Value total;
  for (const TermDef* def : all_terms()) {
    if (!def->is_row_term()) continue;
    const auto slot = static_cast<size_t>(def->slot);
    if (attrs.weight[slot] == 0) continue;
    const Value value = def->define(graph, inputs.student, inputs.teacher, inputs.labels, attrs);
    const Value weighted = affine(graph, value, attrs.weight[slot]);
    total = total ? add(graph, total, weighted) : weighted;
    values[slot] = reshape(graph, value, {1});
  }
  if (!total) return {fill(graph, {}, 0), fill(graph, {kLossTerms}, 0), fill(graph, shape, 0)};
  for (Value& value : values) {
    if (!value) value = fill(graph, {1}, 0);
  }
  const Value terms = concat(graph, values, 0);
  const std::vector<Seed> seeds{{total, fill(graph, {}, 1)}};
  const std::vector<Value> wrt{inputs.student};
  Value gradient = differentiate(graph, seeds, wrt)[0];
  if (inputs.scale) gradient = mul(graph, gradient, inputs.scale);
  return {total, terms, gradient};
}

Cost loss_cost(const Graph& graph, const Node& node) { return moved(graph, node, 0); }

}  // namespace

const OpDef op_distill_loss{"distill_loss", OpKind::fused, infer_loss,
                            vjp_loss,       expand_loss,   loss_cost};

DistillLoss distill_loss(Graph& graph, Value student, Value teacher, Value labels,
                         const DistillLossAttrs& attrs, std::string name, Value loss_scale) {
  std::vector<Value> inputs{student};
  if (teacher) inputs.push_back(teacher);
  if (labels) inputs.push_back(labels);
  if (loss_scale) inputs.push_back(loss_scale);
  const auto made = graph.add(op_distill_loss, std::move(inputs), attrs, std::move(name));
  return {made[0], made[1], made[2]};
}

}  // namespace kd
