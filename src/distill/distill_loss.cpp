// The fused distillation loss: every weighted term's value and the gradient in one op. Its
// definition is the sum of the terms' own definitions in base ops (terms/), in f32.
#include <algorithm>

#include "distill/terms/terms.h"
#include "kd/ops.h"
#include "ops/common.h"

namespace kd {
namespace {

void expect_terms(const Graph& graph, const Node& node, const DistillLossInputs& inputs) {
  const auto& attrs = node.attr<DistillLossAttrs>();
  for (const TermDef* def : all_terms()) {
    if (!def->is_row_term() || attrs.weight_of(def->slot) == 0) continue;
    KD_CHECK(!def->needs_teacher || inputs.teacher, "{}: the term '{}' needs a teacher",
             label(node), def->name);
    KD_CHECK(!def->needs_labels || inputs.labels, "{}: the term '{}' needs labels", label(node),
             def->name);
  }
  KD_CHECK(
      !inputs.partner_labels || attrs.weight_of(LossTerm::dkd) == 0,
      "{}: the term 'dkd' wants one class a picture, labels {} have partners {} (mixup, CutMix)",
      label(node), graph.info(inputs.labels).name, graph.info(inputs.partner_labels).name);
}

std::vector<TensorDesc> infer_loss(const Graph& graph, const Node& node) {
  const auto& attrs = node.attr<DistillLossAttrs>();
  const auto given = static_cast<size_t>(std::popcount(attrs.given));
  KD_CHECK(attrs.has(LossInput::student) && attrs.given >> kLossInputs == 0,
           "{}: the inputs are said to be {:#x}", label(node), attrs.given);
  expect_inputs(node, given, given);
  expect_float(graph, node, 0, 2);
  const DistillLossInputs inputs = distill_loss_inputs(node);
  const TensorDesc student = graph.desc(inputs.student);
  const auto expect = [&](Value input, const TensorDesc& desc, std::string_view what) {
    KD_CHECK(!input || graph.desc(input) == desc, "{}: the {} are {}, expected {}", label(node),
             what, graph.desc(input).str(), desc.str());
  };
  expect(inputs.teacher, student, "teacher logits");
  const Shape rows({student.shape[0]});
  expect(inputs.labels, {DType::i32, rows}, "labels");
  expect(inputs.partner_labels, {DType::i32, rows}, "partner labels");
  expect(inputs.shares, {DType::f32, rows}, "shares");
  expect(inputs.term_weights, {DType::f32, {kLossTerms}}, "term weights");
  expect(inputs.loss_scale, {DType::f32, {1}}, "loss scales");
  const bool has_partners = static_cast<bool>(inputs.partner_labels);
  KD_CHECK(has_partners == static_cast<bool>(inputs.shares) && (!has_partners || inputs.labels),
           "{}: partner labels go with labels and shares", label(node));
  expect_terms(graph, node, inputs);
  return {{DType::f32, {}}, {DType::f32, {kLossTerms}}, student};
}

void vjp_loss(Graph& graph, const Node& node, Grads& grads) {
  const DistillLossInputs inputs = distill_loss_inputs(node);
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    KD_CHECK(!grads.needs(node.inputs[i]), "{}: only the student's logits have a gradient, not {}",
             label(node), graph.info(node.inputs[i]).name);
  }
  const Value dlogits = node.outputs[2];
  const DType dtype = graph.desc(dlogits).dtype;
  Value factor = grads.of(node.outputs[0]);
  if (graph.desc(factor).dtype != dtype) factor = cast(graph, factor, dtype);
  grads.add(inputs.student, mul(graph, dlogits, factor));
}

Value in_f32(Graph& graph, Value x) {
  return !x || graph.desc(x).dtype == DType::f32 ? x : cast(graph, x, DType::f32);
}

// The weight of a term, a factor of its value.
Value weigh(Graph& graph, Value value, LossTerm term, Value term_weights, double weight) {
  const Value weighted = affine(graph, value, weight);
  if (!term_weights) return weighted;
  const auto slot = static_cast<int64_t>(term);
  const Value factor = slice(graph, term_weights, {{0}, {slot}, {slot + 1}, {1}});
  return mul(graph, weighted, reshape(graph, factor, {}));
}

std::vector<Value> expand_loss(Graph& graph, const Node& node) {
  const auto attrs = node.attr<DistillLossAttrs>();
  DistillLossInputs inputs = distill_loss_inputs(node);
  const TensorDesc logits = graph.desc(inputs.student);
  inputs.student = in_f32(graph, inputs.student), inputs.teacher = in_f32(graph, inputs.teacher);
  std::vector<Value> values(kLossTerms);
  Value total;
  for (const TermDef* def : all_terms()) {
    if (!def->is_row_term()) continue;
    const double weight = attrs.weight_of(def->slot);
    if (weight == 0) continue;
    const Value value = def->define(graph, inputs, attrs);
    const Value weighted = weigh(graph, value, def->slot, inputs.term_weights, weight);
    total = total ? add(graph, total, weighted) : weighted;
    values[static_cast<size_t>(def->slot)] = reshape(graph, value, {1});
  }
  for (Value& value : values) {
    if (!value) value = fill(graph, {1}, 0);
  }
  const Value terms = concat(graph, values, 0);
  Value gradient = fill(graph, logits.shape, 0);
  if (total) {
    const std::vector<Seed> seeds{{total, fill(graph, {}, 1)}};
    const std::vector<Value> wrt{inputs.student};
    gradient = differentiate(graph, seeds, wrt)[0];
    if (inputs.loss_scale) gradient = mul(graph, gradient, inputs.loss_scale);
  } else {
    total = fill(graph, {}, 0);
  }
  if (logits.dtype != DType::f32) gradient = cast(graph, gradient, logits.dtype);
  return {total, terms, gradient};
}

Cost loss_cost(const Graph& graph, const Node& node) { return moved(graph, node, 0); }

}  // namespace

const OpDef op_distill_loss{"distill_loss", OpKind::fused, infer_loss,
                            vjp_loss,       expand_loss,   loss_cost};

DistillLossInputs distill_loss_inputs(const Node& node) {
  const auto& attrs = node.attr<DistillLossAttrs>();
  const auto at = [&](LossInput input) {
    const auto place = attrs.place_of(input);
    return place ? node.inputs.at(*place) : Value{};
  };
  return {at(LossInput::student),        at(LossInput::teacher), at(LossInput::labels),
          at(LossInput::partner_labels), at(LossInput::shares),  at(LossInput::term_weights),
          at(LossInput::loss_scale)};
}

DistillLoss distill_loss(Graph& graph, const DistillLossInputs& inputs, const DistillLossAttrs& of,
                         std::string name) {
  const std::array<Value, kLossInputs> all{
      inputs.student, inputs.teacher,      inputs.labels,    inputs.partner_labels,
      inputs.shares,  inputs.term_weights, inputs.loss_scale};
  DistillLossAttrs attrs = of;
  attrs.given = 0;
  std::vector<Value> given;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all[i]) continue;
    attrs.given |= uint32_t{1} << i;
    given.push_back(all[i]);
  }
  const auto made = graph.add(op_distill_loss, std::move(given), attrs, std::move(name));
  return {made[0], made[1], made[2]};
}

}  // namespace kd
