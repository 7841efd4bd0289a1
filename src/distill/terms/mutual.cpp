#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  const Value student = term.parts().student_logits, peer = term.parts().peer_logits;
  const double temperature = term.param("temperature");
  return sum_of(graph,
                {softened_divergence(graph, student, stop_gradient(graph, peer), temperature),
                 cross_entropy(graph, peer, term.targets()),
                 softened_divergence(graph, peer, stop_gradient(graph, student), temperature)});
}

}  // namespace

const TermDef term_mutual{
    .name = "mutual",
    .formula =
        "T^2 mean_i KL(p_T(q_i) || p_T(s_i)) + CE(q, y) + T^2 mean_i KL(p_T(s_i) || p_T(q_i)), q "
        "the logits of a second model that learns beside the student; what stands before || has no "
        "gradient (deep mutual learning, Zhang et al., CVPR 2018)",
    .needs_labels = true,
    .params = {{"temperature", 1, 1e-3, 1e3, "T of both divergences"}},
    .build = build,
    .needs_model = true};

}  // namespace kd
