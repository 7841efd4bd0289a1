// The fused distillation loss, every term in it, and the terms' own definitions in base ops.
#include "oracle/distill.h"

#include <cmath>

#include "cases/case.h"
#include "kd/objective.h"

namespace kd::test {
namespace {

oracle::Term term_by_oracle(LossTerm term, const Arrays& in, const DistillLossAttrs& a) {
  switch (term) {
    case LossTerm::ce:
      return oracle::cross_entropy(in[0], in[2], a.label_smoothing);
    case LossTerm::kl:
      return oracle::kl(in[0], in[1], a.temperature);
    case LossTerm::mse:
      return oracle::squared_error(in[0], in[1], a.mse_centred);
    case LossTerm::lse_margin: {
      const bool softmax_weights = a.margin_weights == MarginWeights::softmax;
      return oracle::lse_margin(in[0], in[1], a.margin, softmax_weights ? a.margin_temperature : 0);
    }
    case LossTerm::lse_margin_literal:
      return oracle::lse_margin_literal(in[0], in[1], a.literal_margin, a.literal_beta);
  }
  return {};
}

// total, terms, dlogits: the weighted sum of what each definition gives.
Arrays loss_by_oracle(const Arrays& in, const DistillLossAttrs& a) {
  Array total = Array::zeros({}), terms = Array::zeros({kLossTerms}),
        gradient = Array::zeros(in[0].shape);
  for (size_t k = 0; k < kLossTerms; ++k) {
    if (a.weight[k] == 0) continue;
    const oracle::Term term = term_by_oracle(static_cast<LossTerm>(k), in, a);
    terms.data[k] = term.value;
    total.data[0] += a.weight[k] * term.value;
    for (size_t i = 0; i < gradient.data.size(); ++i) {
      gradient.data[i] += a.weight[k] * term.gradient.data[i];
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

Case loss_case(const std::string& name, std::vector<Leaf> leaves, const DistillLossAttrs& attrs) {
  Case made;
  made.name = "distill_loss_" + name;
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const DistillLoss loss = distill_loss(graph, in[0], in[1], in[2], attrs);
    return {loss.total, loss.terms, loss.dlogits};
  };
  made.oracle = [=](const Arrays& in) { return loss_by_oracle(in, attrs); };
  made.tolerance = {.a = 16, .b = 1, .length = leaves[0].desc.shape[1]};
  made.leaves = std::move(leaves);
  return made;
}

DistillLossAttrs weighted(std::initializer_list<std::pair<LossTerm, double>> weights) {
  DistillLossAttrs attrs;
  for (const auto& [term, weight] : weights) attrs.weight[static_cast<size_t>(term)] = weight;
  return attrs;
}

DistillLossAttrs all_terms_weighted() {
  DistillLossAttrs attrs = weighted({{LossTerm::ce, 0.1},
                                     {LossTerm::kl, 0.9},
                                     {LossTerm::mse, 0.3},
                                     {LossTerm::lse_margin, 0.5}});
  attrs.label_smoothing = 0.1;
  attrs.mse_centred = true;
  return attrs;
}

}  // namespace

std::vector<Case> distill_cases() {
  std::vector<Case> cases;
  for (const int64_t k : {1, 2, 7, 8, 9, 10, 16, 100, 1000, 21843}) {
    cases.push_back(loss_case("rows_" + std::to_string(k), logits_and_labels(3, k, normal(2)),
                              all_terms_weighted()));
  }
  for (const double temperature : {0.1, 20.0}) {
    DistillLossAttrs attrs = weighted({{LossTerm::kl, 1}});
    attrs.temperature = temperature;
    Case made = loss_case("kl_temperature_" + std::to_string(static_cast<int>(temperature * 10)),
                          logits_and_labels(5, 13, normal(2)), attrs);
    cases.push_back(std::move(made));
  }
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
      return {def->define(graph, in[0], in[1], in[2], attrs)};
    };
    made.oracle = [=](const Arrays& in) -> Arrays {
      Array value = Array::zeros({});
      value.data[0] = term_by_oracle(def->slot, in, attrs).value;
      return {value};
    };
    made.tolerance = {.a = 64, .b = 1, .length = 55};
    made.f32_only = def->needs_labels;  // one_hot is f32
    cases.push_back(std::move(made));
  }
  return cases;
}

}  // namespace kd::test
