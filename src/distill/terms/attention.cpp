#include "distill/terms/terms.h"
#include "kd/error.h"
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
  Value total;
  for (const Features& pair : term.taps()) {
    const Features joined = term.same_size(pair);
    KD_CHECK(graph.shape(joined.student).rank() == 4,
             "loss term 'attention': {} is no map of (N, H, W, C)", pair.name);
    const Value apart =
        sub(graph, attention_map(graph, joined.student), attention_map(graph, joined.teacher));
    const Value value = mean(graph, mul(graph, apart, apart));
    total = total ? add(graph, total, value) : value;
  }
  return total;
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
