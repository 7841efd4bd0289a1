#include "distill/terms/terms.h"

namespace kd {
namespace {

Value define(Graph& graph, Value student, Value, Value labels, const DistillLossAttrs& attrs) {
  const Value target = one_hot(graph, labels, graph.shape(student)[1], attrs.label_smoothing);
  const Value crossed = mul(graph, log_softmax(graph, student), target);
  return affine(graph, batch_mean_of_row_sums(graph, crossed), -1);
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.label_smoothing = param_or(params, term_ce, "label_smoothing");
}

}  // namespace

const TermDef term_ce{
    "ce",
    "mean_i LSE(s_i) - s_i,y (Hinton et al. 2015, hard targets)",
    LossTerm::ce,
    false,
    true,
    {{"label_smoothing", 0, 0, 1, "share of the target that is spread over all classes"}},
    define,
    configure};

}  // namespace kd
