#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  std::vector<Value> layers;
  for (const Features& pair : term.taps()) {
    const Features joined = term.adapted(pair);
    layers.push_back(mean_squared_difference(graph, joined.student, joined.teacher));
  }
  return sum_of(graph, layers);
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
