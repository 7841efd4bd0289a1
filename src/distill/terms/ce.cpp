#include "distill/terms/terms.h"

namespace kd {
namespace {

Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  return cross_entropy(graph, in.student, label_rows(graph, in, attrs.label_smoothing));
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.label_smoothing = param_or(params, term_ce, "label_smoothing");
}

}  // namespace

const TermDef term_ce{
    "ce",
    "mean_i LSE(s_i) - s_i,y (Hinton et al. 2015, hard targets); a row without a label adds 0",
    LossTerm::ce,
    false,
    true,
    {{"label_smoothing", 0, 0, 1, "share of the target that is spread over all classes"}},
    define,
    configure};

}  // namespace kd
