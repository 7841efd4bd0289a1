#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// The sum of [t > 0] max(m - s, 0)^2 + [t <= 0] max(s + m, 0)^2.
Value crossings(Graph& graph, Value s, Value t, double margin) {
  const Value active = is_positive(graph, t);
  const Value lacking = relu(graph, affine(graph, s, -1, margin));
  const Value excess = relu(graph, affine(graph, s, 1, margin));
  const Value on = mul(graph, active, mul(graph, lacking, lacking));
  const Value off = mul(graph, affine(graph, active, -1, 1), mul(graph, excess, excess));
  return sum_to(graph, add(graph, on, off), {});
}

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  std::vector<Value> layers;
  for (size_t i = term.taps().size(); i-- > 0;) {
    const Features joined = term.adapted(term.taps()[i], false);
    layers.push_back(crossings(graph, joined.student, joined.teacher, term.param("margin")));
  }
  return halving_mean(graph, layers, term.batch());
}

}  // namespace

const TermDef term_ab{
    .name = "ab",
    .formula =
        "sum over layers l = 1..L of 2^(l-L) mean over pictures of sum [h_t > 0] max(m - r(h_s), "
        "0)^2 + [h_t <= 0] max(m + r(h_s), 0)^2, of layers before their ReLU, r a learned 1x1 "
        "convolution where widths differ (activation boundaries, Heo et al., AAAI 2019; there "
        "with batch norm)",
    .needs_teacher = true,
    .params = {{"margin", 1, 1e-6, 1e6, "m, by how much a boundary is to be cleared"}},
    .least_taps = 1,
    .most_taps = 64,
    .taps = DefaultTaps::pre_activations,
    .build = build};

}  // namespace kd
