#include <cmath>

#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// (N, ...) -> (N, N): the kernel without its constant, which the difference of two has not.
Value correlations(TermGraph& term, Value x) {
  Graph& graph = term.graph();
  const double twice = 2 * term.param("gamma"), scale = std::exp(-twice);
  const Value unit = unit_rows(graph, term.rows(x));
  const Value cosine = linear(graph, unit, unit);
  return mul(graph, cosine, affine(graph, cosine, scale * twice * twice / 2, scale * twice));
}

Value build(TermGraph& term) {
  const Features& pair = term.taps()[0];
  return mean_squared_difference(term.graph(), correlations(term, pair.student),
                                 correlations(term, pair.teacher));
}

}  // namespace

const TermDef term_cc{
    .name = "cc",
    .formula =
        "mean_ij (k(s_i, s_j) - k(t_i, t_j))^2, k(x, y) = sum_{p <= 2} exp(-2 gamma) (2 gamma)^p / "
        "p! cos(x, y)^p, a Gaussian kernel of unit vectors to second order (correlation "
        "congruence, Peng et al. 2019)",
    .needs_teacher = true,
    .params = {{"gamma", 0.4, 1e-3, 10, "of the kernel exp(-gamma |x - y|^2)"}},
    .least_taps = 1,
    .most_taps = 1,
    .taps = DefaultTaps::features,
    .build = build};

}  // namespace kd
