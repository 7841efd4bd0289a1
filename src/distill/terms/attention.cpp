#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// (N, H, W, C) -> (N, H*W): each picture's sum of squares over channels, scaled to L2 norm 1.
Value attention_map(Graph& graph, Value x) {
  const Shape shape = graph.shape(x);
  const Value squares = sum_to(graph, mul(graph, x, x), {shape[0], shape[1], shape[2], 1});
  return unit_rows(graph, flatten(graph, squares));
}

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  std::vector<Value> layers;
  for (const Features& pair : term.taps()) {
    term.expect_maps(pair);
    const Features joined = term.same_size(pair);
    layers.push_back(mean_squared_difference(graph, attention_map(graph, joined.student),
                                             attention_map(graph, joined.teacher)));
  }
  return sum_of(graph, layers);
}

}  // namespace

const TermDef term_attention{
    .name = "attention",
    .formula =
        "sum over layers of mean (norm(sum_c h_s^2) - norm(sum_c h_t^2))^2, rows of L2 norm "
        "1 (Zagoruyko and Komodakis 2017)",
    .needs_teacher = true,
    .least_taps = 1,
    .most_taps = 64,
    .taps = DefaultTaps::stages,
    .build = build};

}  // namespace kd
