#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// (N, ...) -> (N, N): products of pictures' activations, rows of L2 norm 1.
Value similarities(TermGraph& term, Value x) {
  const Value rows = term.rows(x);
  return unit_rows(term.graph(), linear(term.graph(), rows, rows));
}

Value build(TermGraph& term) {
  const Features& pair = term.taps()[0];
  return mean_squared_difference(term.graph(), similarities(term, pair.student),
                                 similarities(term, pair.teacher));
}

}  // namespace

const TermDef term_sp{
    .name = "sp",
    .formula =
        "|norm(A_s A_s^T) - norm(A_t A_t^T)|_F^2 / N^2, A (N, H W C) a layer's activations, norm: "
        "rows of L2 norm 1 (similarity-preserving distillation, Tung and Mori 2019)",
    .needs_teacher = true,
    .least_taps = 1,
    .most_taps = 1,
    .taps = DefaultTaps::stages,
    .build = build};

}  // namespace kd
