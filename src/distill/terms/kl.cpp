#include "distill/terms/terms.h"

namespace kd {
namespace {

Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  return softened_divergence(graph, in.student, in.teacher, attrs.temperature);
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.temperature = param_or(params, term_kl, "temperature");
}

}  // namespace

const TermDef term_kl{
    "kl",
    "T^2 mean_i KL(softmax(t_i/T) || softmax(s_i/T)), summed over classes (Hinton et al. 2015)",
    LossTerm::kl,
    true,
    false,
    {{"temperature", 4, 1e-3, 1e3, "T, of both softmaxes"}},
    define,
    configure};

}  // namespace kd
