#include <algorithm>

#include "distill/terms/terms.h"

namespace kd {
namespace {

// log softmax(x / T), and the same over all classes but the label's.
struct LogShares {
  Value all, others;
};

// A logit of -1e30 leaves a probability of exactly 0 at every temperature, and stays finite.
LogShares log_shares(Graph& graph, Value logits, Value label, double temperature) {
  const Value without = add(graph, logits, affine(graph, label, -1e30));
  return {log_softmax(graph, logits, temperature), log_softmax(graph, without, temperature)};
}

// log (p_y, 1 - p_y), each (N, 1). 1 - p_y is the ratio of any other class's two shares.
struct LogOdds {
  Value target, rest;
};
LogOdds log_odds(Graph& graph, const LogShares& shares, Value label, Value other) {
  const Shape shape = graph.shape(label), column{shape[0], 1};
  const double others = std::max(1.0, static_cast<double>(shape[1] - 1));
  const Value ratios = mul(graph, other, sub(graph, shares.all, shares.others));
  return {sum_to(graph, mul(graph, label, shares.all), column),
          affine(graph, sum_to(graph, ratios, column), 1 / others)};
}

Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  const double temperature = attrs.dkd_temperature;
  const Value label = one_hot(graph, in.labels, graph.shape(in.student)[1]);
  const Shape column{graph.shape(in.student)[0], 1};
  const Value labelled = sum_to(graph, label, column);  // 0 where there is no label
  const Value other = affine(graph, label, -1, 1);
  const LogShares s = log_shares(graph, in.student, label, temperature);
  const LogShares t = log_shares(graph, in.teacher, label, temperature);
  const LogOdds of_s = log_odds(graph, s, label, other), of_t = log_odds(graph, t, label, other);
  const auto part = [&](Value p, Value log_p, Value log_q) {
    return mul(graph, p, sub(graph, log_p, log_q));
  };
  const Value teacher = softmax(graph, in.teacher, temperature);
  const Value p_rest = sum_to(graph, mul(graph, teacher, other), column);
  const Value target = add(graph, part(exp(graph, of_t.target), of_t.target, of_s.target),
                           part(p_rest, of_t.rest, of_s.rest));
  const Value rest = sum_to(graph, part(exp(graph, t.others), t.others, s.others), column);
  const Value row =
      add(graph, affine(graph, target, attrs.dkd_alpha), affine(graph, rest, attrs.dkd_beta));
  return affine(graph, batch_mean_of_row_sums(graph, mul(graph, row, labelled)),
                temperature * temperature);
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.dkd_alpha = param_or(params, term_dkd, "alpha");
  attrs.dkd_beta = param_or(params, term_dkd, "beta");
  attrs.dkd_temperature = param_or(params, term_dkd, "temperature");
}

}  // namespace

const TermDef term_dkd{
    "dkd",
    "mean_i alpha T^2 KL of (p_y, 1 - p_y) + beta T^2 KL of the softmaxes over the other classes, "
    "teacher || student at T; a row without a label adds 0 (decoupled KD, Zhao et al., CVPR 2022)",
    LossTerm::dkd,
    true,
    true,
    {{"alpha", 1, 0, 1e3, "weight of the target class's part"},
     {"beta", 8, 0, 1e3, "weight of the other classes' part"},
     {"temperature", 4, 1e-3, 1e3, "T, of both softmaxes"}},
    define,
    configure};

}  // namespace kd
