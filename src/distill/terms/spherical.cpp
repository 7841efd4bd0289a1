#include "distill/terms/terms.h"
#include "kd/term_ops.h"

namespace kd {
namespace {

// On the sphere of radius m sqrt(K): unit root mean square, times m.
Value projected(Graph& graph, Value x, double multiplier) {
  const Shape shape = graph.shape(x);
  const Value centred = centred_rows(graph, x);
  const Value squares = sum_to(graph, mul(graph, centred, centred), {shape[0], 1});
  const Value scale =
      sqrt(graph, affine(graph, squares, 1.0 / static_cast<double>(shape[1]), 1e-7));
  return affine(graph, div(graph, centred, scale), multiplier);
}

Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  return softened_divergence(graph, projected(graph, in.student, attrs.spherical_multiplier),
                             projected(graph, in.teacher, attrs.spherical_multiplier),
                             attrs.spherical_temperature);
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.spherical_temperature = param_or(params, term_spherical, "temperature");
  attrs.spherical_multiplier = param_or(params, term_spherical, "multiplier");
}

}  // namespace

const TermDef term_spherical{
    "spherical",
    "T^2 mean_i KL(softmax(z(t_i)/T) || softmax(z(s_i)/T)), z(x) = m (x - mean) / sqrt(mean (x - "
    "mean)^2 + 1e-7), on a sphere of radius m sqrt(K) (spherical KD, Guo et al. 2020; m as "
    "PaddleClas has it)",
    LossTerm::spherical,
    true,
    false,
    {{"temperature", 4, 1e-3, 1e3, "T, of both softmaxes"}, {"multiplier", 2, 1e-3, 1e3, "m"}},
    define,
    configure};

}  // namespace kd
