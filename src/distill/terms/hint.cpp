#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  Value total;
  for (const Features& pair : term.taps()) {
    const Features joined = term.adapted(pair);
    const Value apart = sub(graph, joined.student, joined.teacher);
    const Value value = mean(graph, mul(graph, apart, apart));
    total = total ? add(graph, total, value) : value;
  }
  return total;
}

}  // namespace

const TermDef term_hint{
    .name = "hint",
    .formula =
        "sum over layers of mean (r(h_s) - h_t)^2, r a learned 1x1 convolution (FitNets, "
        "Romero et al. 2015)",
    .needs_teacher = true,
    .least_taps = 1,
    .most_taps = 64,
    .taps = DefaultTaps::stages,
    .build = build};

}  // namespace kd
