#include "distill/terms/terms.h"

namespace kd {
namespace {

Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  const double temperature = attrs.js_temperature;
  const Value log_s = log_softmax(graph, in.student, temperature);
  const Value log_t = log_softmax(graph, in.teacher, temperature);
  const Value both = add(graph, divergence(graph, log_t, log_s), divergence(graph, log_s, log_t));
  return affine(graph, both, temperature * temperature / 2);
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.js_temperature = param_or(params, term_js, "temperature");
}

}  // namespace

const TermDef term_js{
    "js",
    "T^2 mean_i 1/2 (KL(p_s || p_t) + KL(p_t || p_s)), p = softmax(. / T) (Jeffreys divergence, as "
    "SSLD has it: Cui et al. 2021; no labels needed)",
    LossTerm::js,
    true,
    false,
    {{"temperature", 1, 1e-3, 1e3, "T, of both softmaxes"}},
    define,
    configure};

}  // namespace kd
