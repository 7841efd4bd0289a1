// The fused distillation loss, every term in it, and the terms' own definitions in base ops.
#include "oracle/distill.h"

#include <cmath>

#include "cases/case.h"
#include "kd/objective.h"

namespace kd::test {
namespace {

using Weights = std::initializer_list<std::pair<LossTerm, double>>;

// What a loss is made of, as its leaves (DistillLossInputs without the scale, in its order).
struct Given {
  const Array &s, &t;
  oracle::Labels labels;
};

oracle::Term sum_term_by_oracle(LossTerm term, const Given& in, const DistillLossAttrs& a) {
  switch (term) {
    case LossTerm::ce:
      return oracle::cross_entropy(in.s, in.labels, a.label_smoothing);
    case LossTerm::kl:
      return oracle::kl(in.s, in.t, a.temperature);
    case LossTerm::mse:
      return oracle::squared_error(in.s, in.t, a.mse_centred);
    case LossTerm::lse_margin: {
      const bool softmax_weights = a.margin_weights == MarginWeights::softmax;
      return oracle::lse_margin(in.s, in.t, a.margin, softmax_weights ? a.margin_temperature : 0);
    }
    default:
      return oracle::lse_margin_literal(in.s, in.t, a.literal_margin, a.literal_beta);
  }
}

oracle::Term term_by_oracle(LossTerm term, const Given& in, const DistillLossAttrs& a) {
  switch (term) {
    case LossTerm::teacher_ce:
      return oracle::teacher_cross_entropy(in.s, in.t, a.teacher_target == TeacherTarget::softmax);
    case LossTerm::hard_mix:
      return oracle::hard_mix(in.s, in.t, in.labels, {a.mix_label, a.mix_teacher});
    case LossTerm::dkd:
      return oracle::decoupled(in.s, in.t, in.labels.own,
                               {a.dkd_alpha, a.dkd_beta, a.dkd_temperature});
    case LossTerm::logit_std:
      return oracle::standardised_kl(in.s, in.t, a.standard_temperature);
    case LossTerm::js:
      return oracle::jeffreys(in.s, in.t, a.js_temperature);
    case LossTerm::spherical:
      return oracle::spherical_kl(in.s, in.t, a.spherical_temperature, a.spherical_multiplier);
    default:
      return sum_term_by_oracle(term, in, a);
  }
}

// total, terms, dlogits: the weighted sum of what each definition gives.
Arrays loss_by_oracle(const Given& in, const DistillLossAttrs& a, const Array& term_weights) {
  Array total = Array::zeros({}), terms = Array::zeros({kLossTerms}),
        gradient = Array::zeros(in.s.shape);
  for (size_t k = 0; k < kLossTerms; ++k) {
    if (a.weight[k] == 0) continue;
    const oracle::Term term = term_by_oracle(static_cast<LossTerm>(k), in, a);
    const double weight = a.weight[k] * (term_weights.data.empty() ? 1 : term_weights.data[k]);
    terms.data[k] = term.value;
    total.data[0] += weight * term.value;
    for (size_t i = 0; i < gradient.data.size(); ++i) {
      gradient.data[i] += weight * term.gradient.data[i];
    }
  }
  return {total, terms, gradient};
}

std::vector<Leaf> logits_and_labels(int64_t n, int64_t k, const Fill& teacher) {
  // Very long rows: central differences see rounding only; dlogits is compared with the
  // definition's.
  const Leaf student = f32("student", {n, k}, outliers());
  return {k > 10000 ? student : trained(student), f32("teacher", {n, k}, teacher),
          i32("labels", {n}, whole_numbers(0, k - 1))};
}

// `leaves`: student, teacher, labels, and if there are more, partners, shares, term weights.
Case loss_case(const std::string& name, std::vector<Leaf> leaves, const DistillLossAttrs& attrs) {
  Case made;
  made.name = "distill_loss_" + name;
  const bool mixed = leaves.size() > 4, weighted = leaves.size() % 2 == 0;
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    DistillLossInputs inputs{.student = in[0], .teacher = in[1], .labels = in[2]};
    if (mixed) inputs.partner_labels = in[3], inputs.shares = in[4];
    if (weighted) inputs.term_weights = in.back();
    const DistillLoss loss = distill_loss(graph, inputs, attrs);
    return {loss.total, loss.terms, loss.dlogits};
  };
  made.oracle = [=](const Arrays& in) {
    oracle::Labels labels{in[2]};
    if (mixed) labels.partner = in[3], labels.shares = in[4];
    return loss_by_oracle({in[0], in[1], labels}, attrs, weighted ? in.back() : Array());
  };
  made.tolerance = {.a = 16, .b = 1, .length = leaves[0].desc.shape[1]};
  made.leaves = std::move(leaves);
  return made;
}

DistillLossAttrs weighted(Weights weights) {
  DistillLossAttrs attrs;
  for (const auto& [term, weight] : weights) attrs.weight[static_cast<size_t>(term)] = weight;
  return attrs;
}

DistillLossAttrs sum_terms_weighted() {
  DistillLossAttrs attrs = weighted({{LossTerm::ce, 0.1},
                                     {LossTerm::kl, 0.9},
                                     {LossTerm::mse, 0.3},
                                     {LossTerm::lse_margin, 0.5}});
  attrs.label_smoothing = 0.1;
  attrs.mse_centred = true;
  return attrs;
}

// Standardised rows of one class are all 0, of two +-1 / sqrt(2): their gradient is 0, up to
// rounding.
DistillLossAttrs pair_terms_weighted(int64_t classes) {
  DistillLossAttrs attrs = weighted({{LossTerm::ce, 0.1},
                                     {LossTerm::kl, 0.4},
                                     {LossTerm::teacher_ce, 0.3},
                                     {LossTerm::hard_mix, 0.2},
                                     {LossTerm::dkd, 0.5},
                                     {LossTerm::js, 0.6}});
  if (classes <= 2) return attrs;
  attrs.weight[static_cast<size_t>(LossTerm::logit_std)] = 0.7;
  attrs.weight[static_cast<size_t>(LossTerm::spherical)] = 0.8;
  return attrs;
}

void add_temperatures(std::vector<Case>& cases) {
  for (const double temperature : {0.1, 20.0}) {
    DistillLossAttrs attrs = weighted({{LossTerm::kl, 1}});
    attrs.temperature = temperature;
    Case made = loss_case("kl_temperature_" + std::to_string(static_cast<int>(temperature * 10)),
                          logits_and_labels(5, 13, normal(2)), attrs);
    cases.push_back(std::move(made));
  }
}

// Rows without labels, two labels a row, weights that change by the step.
void add_labels_and_weights(std::vector<Case>& cases) {
  DistillLossAttrs attrs =
      weighted({{LossTerm::ce, 0.4}, {LossTerm::kl, 0.5}, {LossTerm::hard_mix, 0.3}});
  attrs.label_smoothing = 0.1;
  attrs.mix_label = 0.6, attrs.mix_teacher = 0.4;
  const auto rows = [](const Fill& labels) {
    std::vector<Leaf> leaves = logits_and_labels(5, 13, normal(2));
    leaves[2].fill = labels;
    return leaves;
  };
  DistillLossAttrs ce_and_kl = attrs, decoupled = attrs;
  ce_and_kl.weight[static_cast<size_t>(LossTerm::hard_mix)] = 0;
  decoupled.weight[static_cast<size_t>(LossTerm::dkd)] = 0.7;
  for (const auto& [name, of] : {std::pair{"", ce_and_kl}, std::pair{"_of_pairs", decoupled}}) {
    const std::string more = name;
    cases.push_back(loss_case("unlabelled" + more, rows(listed({3, -1, 0, -1, 12})), of));
    std::vector<Leaf> leaves = rows(listed({3, 7, 0, -1, 12}));
    leaves.push_back(f32("term_weights", {kLossTerms}, uniform(0, 2)));
    cases.push_back(loss_case("term_weights" + more, leaves, of));
  }
  for (const auto& [name, of] : {std::pair{"", ce_and_kl}, std::pair{"_of_pairs", attrs}}) {
    std::vector<Leaf> leaves = rows(listed({3, 7, 0, -1, 12}));
    leaves.push_back(i32("partners", {5}, listed({4, 7, -1, 2, 0})));
    leaves.push_back(f32("shares", {5}, listed({0.25, 0.5, 0.75, 0.125, 1})));
    cases.push_back(loss_case(std::string("mixed") + name, leaves, of));
    leaves.push_back(f32("term_weights", {kLossTerms}, uniform(0, 2)));
    cases.push_back(loss_case(std::string("mixed_term_weights") + name, leaves, of));
  }
}

}  // namespace

std::vector<Case> distill_cases() {
  std::vector<Case> cases;
  for (const int64_t k : {1, 2, 7, 8, 9, 10, 16, 100, 1000, 21843}) {
    cases.push_back(loss_case("rows_" + std::to_string(k), logits_and_labels(3, k, normal(2)),
                              sum_terms_weighted()));
    cases.push_back(loss_case("pairs_" + std::to_string(k), logits_and_labels(3, k, normal(2)),
                              pair_terms_weighted(k)));
  }
  add_temperatures(cases);
  add_labels_and_weights(cases);
  DistillLossAttrs soft = weighted({{LossTerm::teacher_ce, 1}});
  soft.teacher_target = TeacherTarget::softmax;
  cases.push_back(loss_case("teacher_soft", logits_and_labels(5, 13, normal(2)), soft));
  Case normalised = loss_case("margin_normalised", logits_and_labels(4, 11, uniform(0.1, 3)), [] {
    DistillLossAttrs attrs = weighted({{LossTerm::lse_margin, 1}});
    attrs.margin_weights = MarginWeights::normalised;
    return attrs;
  }());
  cases.push_back(std::move(normalised));
  cases.push_back(loss_case("margin_literal", logits_and_labels(4, 11, uniform(0.1, 3)),
                            weighted({{LossTerm::lse_margin_literal, 1}})));
  return cases;
}

// Each term alone, by its definition in base ops.
std::vector<Case> term_cases() {
  std::vector<Case> cases;
  for (const TermDef* def : all_terms()) {
    if (!def->is_row_term()) continue;
    DistillLossAttrs attrs = weighted({{def->slot, 1}});
    attrs.label_smoothing = 0.1;
    Case made;
    made.name = "term_" + std::string(def->name);
    made.term = std::string(def->name);
    made.leaves = logits_and_labels(5, 11, uniform(0.1, 3));
    made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
      return {def->define(graph, {.student = in[0], .teacher = in[1], .labels = in[2]}, attrs)};
    };
    made.oracle = [=](const Arrays& in) -> Arrays {
      Array value = Array::zeros({});
      value.data[0] = term_by_oracle(def->slot, {in[0], in[1], {in[2]}}, attrs).value;
      return {value};
    };
    made.tolerance = {.a = 64, .b = 1, .length = 55};
    made.f32_only = true;  // that is what definitions take; distill_loss casts
    cases.push_back(std::move(made));
  }
  return cases;
}

}  // namespace kd::test
