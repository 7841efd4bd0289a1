#include "distill/terms/terms.h"

namespace kd {
namespace {

// Equals m CE(w, softmax(s/m)), because the weights sum to 1; bounded below by 0 up to m H(w).
Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  const Value weights = attrs.margin_weights == MarginWeights::softmax
                            ? softmax(graph, in.teacher, attrs.margin_temperature)
                            : normalised_rows(graph, in.teacher);
  const Value crossed = mul(graph, weights, log_softmax(graph, in.student, attrs.margin));
  return affine(graph, batch_mean_of_row_sums(graph, crossed), -attrs.margin);
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.margin = param_or(params, term_lse_margin, "margin");
  attrs.margin_temperature = param_or(params, term_lse_margin, "temperature");
  attrs.margin_weights = param_or(params, term_lse_margin, "normalised") != 0
                             ? MarginWeights::normalised
                             : MarginWeights::softmax;
}

}  // namespace

const TermDef term_lse_margin{
    "lse_margin",
    "mean_i m LSE(s_i/m) - sum_k w_ik s_ik, w = softmax(t_i/T) or t_i / sum t_i (logsumexp margin "
    "loss)",
    LossTerm::lse_margin,
    true,
    false,
    {{"margin", 2, 1e-3, 1e3, "m"},
     {"temperature", 1, 1e-3, 1e3, "T of the softmax weights"},
     {"normalised", 0, 0, 1, "1: weights t / sum t, for teacher outputs >= 0"}},
    define,
    configure};

}  // namespace kd
