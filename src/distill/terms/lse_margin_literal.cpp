#include "distill/terms/terms.h"

namespace kd {
namespace {

// LSE(z) = z - log_softmax(z) for any element; the mean over a row is exact and uses them all.
Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  const Shape shape = graph.shape(in.student);
  const double classes = static_cast<double>(shape[1]);
  const Value scaled = affine(graph, in.student, 1 / attrs.margin);
  const Value spread = sub(graph, scaled, log_softmax(graph, in.student, attrs.margin));
  const Value lse = affine(graph, batch_mean_of_row_sums(graph, spread), 1 / classes);
  const Value crossed = mul(graph, normalised_rows(graph, in.teacher), in.student);
  return affine(
      graph,
      add(graph, affine(graph, lse, attrs.literal_beta), batch_mean_of_row_sums(graph, crossed)),
      -1);
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.literal_margin = param_or(params, term_lse_margin_literal, "margin");
  attrs.literal_beta = param_or(params, term_lse_margin_literal, "beta");
}

}  // namespace

const TermDef term_lse_margin_literal{
    "lse_margin_literal",
    "mean_i -beta LSE(s_i/m) - sum_k t s / sum_k t; unbounded below, diverges: for reproduction "
    "only",
    LossTerm::lse_margin_literal,
    true,
    false,
    {{"margin", 2, 1e-3, 1e3, "m"}, {"beta", 0.5, 0, 1e3, "beta"}},
    define,
    configure};

}  // namespace kd
