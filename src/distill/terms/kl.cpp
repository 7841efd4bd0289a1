#include "distill/terms/terms.h"

namespace kd {
namespace {

// sum p_t (log p_t - log p_s), by cross entropies so that p_t = 0 adds nothing.
Value define(Graph& graph, Value student, Value teacher, Value, const DistillLossAttrs& attrs) {
  const double temperature = attrs.temperature;
  const Value log_s = log_softmax(graph, student, temperature);
  const Value log_t = log_softmax(graph, teacher, temperature);
  const Value divergence =
      mul(graph, softmax(graph, teacher, temperature), sub(graph, log_t, log_s));
  return affine(graph, batch_mean_of_row_sums(graph, divergence), temperature * temperature);
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
