#include <algorithm>

#include "distill/terms/terms.h"
#include "kd/term_ops.h"

namespace kd {
namespace {

Value standardised(Graph& graph, Value x) {
  const Shape shape = graph.shape(x);
  const double freedom = std::max(1.0, static_cast<double>(shape[1] - 1));
  const Value centred = centred_rows(graph, x);
  const Value squares = sum_to(graph, mul(graph, centred, centred), {shape[0], 1});
  const Value deviation = sqrt(graph, affine(graph, squares, 1 / freedom));
  return div(graph, centred, affine(graph, deviation, 1, 1e-7));
}

Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  return softened_divergence(graph, standardised(graph, in.student),
                             standardised(graph, in.teacher), attrs.standard_temperature);
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.standard_temperature = param_or(params, term_logit_std, "temperature");
}

}  // namespace

const TermDef term_logit_std{"logit_std",
                             "T^2 mean_i KL(softmax(z(t_i)/T) || softmax(z(s_i)/T)), z(x) = (x - "
                             "mean) / (sd + 1e-7), sd over "
                             "K - 1 (logit standardisation, Sun et al., CVPR 2024)",
                             LossTerm::logit_std,
                             true,
                             false,
                             {{"temperature", 2, 1e-3, 1e3, "T, of both softmaxes"}},
                             define,
                             configure};

}  // namespace kd
