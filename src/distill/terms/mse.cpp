#include "distill/terms/terms.h"

namespace kd {
namespace {

Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  Value difference = sub(graph, in.student, in.teacher);
  if (attrs.mse_centred) difference = centred_rows(graph, difference);
  return mean(graph, mul(graph, difference, difference));
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.mse_centred = param_or(params, term_mse, "centred") != 0;
}

}  // namespace

const TermDef term_mse{
    "mse",         "mean over batch and classes of (s - t)^2 (Ba and Caruana 2014)",
    LossTerm::mse, true,
    false,         {{"centred", 0, 0, 1, "1: subtract each row's mean from s and from t"}},
    define,        configure};

}  // namespace kd
