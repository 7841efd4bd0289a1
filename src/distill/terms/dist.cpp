#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// Along the axes that are 1 in `lines`.
Value standardised(Graph& graph, Value x, const Shape& lines) {
  return unit_along(graph, centred_along(graph, x, lines), lines);
}

// The mean over lines of Pearson's correlation.
Value mean_correlation(Graph& graph, Value x, Value y, const Shape& lines) {
  const Value products = mul(graph, standardised(graph, x, lines), standardised(graph, y, lines));
  return affine(graph, sum_to(graph, products, {}), 1 / static_cast<double>(lines.elements()));
}

// Scaled so that what unit_along() adds to the sums of squares is 1e-8 of even probabilities': a
// line of rounding errors has no correlation, and a flat one gets no huge gradient.
Value probabilities(Graph& graph, Value logits, double tau) {
  const auto classes = static_cast<double>(graph.shape(logits)[1]);
  return affine(graph, softmax(graph, logits, tau), classes / 100);
}

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  const double tau = term.param("tau"), beta = term.param("beta"), gamma = term.param("gamma");
  const Value s = probabilities(graph, term.parts().student_logits, tau);
  const Value t = probabilities(graph, term.parts().teacher_logits, tau);
  const Shape shape = graph.shape(s);
  const Value rows = mean_correlation(graph, s, t, {shape[0], 1});
  const Value columns = mean_correlation(graph, s, t, {1, shape[1]});
  const double squared = tau * tau;
  return add(graph, affine(graph, rows, -squared * beta, squared * beta),
             affine(graph, columns, -squared * gamma, squared * gamma));
}

}  // namespace

const TermDef term_dist{
    .name = "dist",
    .formula =
        "tau^2 (beta mean_i (1 - rho(p_i, q_i)) + gamma mean_k (1 - rho(p_k, q_k))) over rows and "
        "columns of p = softmax(s / tau), q = softmax(t / tau); rho: Pearson's correlation, with "
        "1e-8 / K^2 added to each sum of squares (DIST, Huang et al. 2022)",
    .needs_teacher = true,
    .params = {{"tau", 4, 1e-2, 1e3, "temperature of both softmaxes"},
               {"beta", 1, 0, 1e6, "weight of the rows: between classes"},
               {"gamma", 1, 0, 1e6, "weight of the columns: within a class, between pictures"}},
    .build = build};

}  // namespace kd
