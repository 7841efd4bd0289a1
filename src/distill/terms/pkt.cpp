#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// (N, ...) -> (N, N): row i is how near the others are to picture i, as probabilities.
Value neighbours(TermGraph& term, Value x) {
  Graph& graph = term.graph();
  const Value unit = unit_rows(graph, term.rows(x));
  return normalised_rows(graph, affine(graph, linear(graph, unit, unit), 0.5, 0.5));
}

// Opposite pictures have the probability 0; others about 1 / N, which 1e-7 hardly changes.
Value log_of(Graph& graph, Value p) { return log(graph, affine(graph, p, 1, 1e-7)); }

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  const Features& pair = term.taps()[0];
  const Value p = neighbours(term, pair.teacher), q = neighbours(term, pair.student);
  return mean(graph, mul(graph, p, sub(graph, log_of(graph, p), log_of(graph, q))));
}

}  // namespace

const TermDef term_pkt{
    .name = "pkt",
    .formula =
        "mean_ij p_ij log((p_ij + 1e-7) / (q_ij + 1e-7)), p of the teacher, q of the student: rows "
        "of (cos(h_i, h_j) + 1) / 2 divided by their sums (probabilistic knowledge transfer, "
        "Passalis and Tefas 2018)",
    .needs_teacher = true,
    .least_taps = 1,
    .most_taps = 1,
    .taps = DefaultTaps::features,
    .build = build};

}  // namespace kd
