#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  const int64_t classes = graph.shape(term.parts().student_logits)[1];
  const Value target = term.targets();
  std::vector<Value> layers;
  for (const Features& pair : term.taps()) {
    Value x = pair.student;
    if (graph.shape(x).rank() == 4) x = flatten(graph, global_avg_pool(graph, x));
    layers.push_back(cross_entropy(graph, term.layer(pair.name, x, classes), target));
  }
  return sum_of(graph, layers);
}

}  // namespace

const TermDef term_aux_ce{
    .name = "aux_ce",
    .formula =
        "sum over the student's layers of mean_i LSE(z_i) - z_i,y, z = W a(h_i) + b a learned "
        "classifier of the layer's averages over places (auxiliary classifiers, Szegedy et al. "
        "2015)",
    .needs_labels = true,
    .least_taps = 1,
    .most_taps = 64,
    .taps = DefaultTaps::features,
    .build = build};

}  // namespace kd
