#include <cmath>

#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

constexpr double kLeastVariance = 1e-5;

// log(1 + x) to the last digits for small x too: what rounding 1 + x loses is added to first order.
Value log1p(Graph& graph, Value x) {
  const Value sum = affine(graph, x, 1, 1);
  const Value lost = sub(graph, x, affine(graph, sum, 1, -1));
  return add(graph, log(graph, sum), div(graph, lost, sum));
}

// log(1 + exp(x)) for any x.
Value softplus(Graph& graph, Value x) {
  const Value above = relu(graph, x), below = relu(graph, affine(graph, x, -1));
  const Value power = exp(graph, affine(graph, add(graph, above, below), -1));
  return add(graph, above, log1p(graph, power));
}

// The x at which softplus(x) is y > 0.
double softplus_inverse(double y) { return y + std::log(-std::expm1(-y)); }

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  const double start = softplus_inverse(term.param("initial_variance") - kLeastVariance);
  std::vector<Value> layers;
  for (const Features& pair : term.taps()) {
    const Features joined = term.adapted(pair);
    const Shape shape = graph.shape(joined.teacher);
    const Value free = term.parameter(pair.name + ".variance", {shape[shape.rank() - 1]}, start);
    const Value variance = affine(graph, softplus(graph, free), 1, kLeastVariance);
    const Value apart = sub(graph, joined.student, joined.teacher);
    const Value scaled = div(graph, mul(graph, apart, apart), variance);
    const Value sum = add(graph, mean(graph, scaled), mean(graph, log(graph, variance)));
    layers.push_back(affine(graph, sum, 0.5));
  }
  return sum_of(graph, layers);
}

}  // namespace

const TermDef term_vid{
    .name = "vid",
    .formula =
        "sum over layers of mean 1/2 [(mu(h_s) - h_t)^2 / v_c + log v_c], mu a learned 1x1 "
        "convolution, v_c = softplus(a_c) + 1e-5 learned for each channel of the teacher "
        "(variational information distillation, Ahn et al. 2019; there mu is three convolutions)",
    .needs_teacher = true,
    .params = {{"initial_variance", 5, 1e-3, 1e6, "v_c before training"}},
    .least_taps = 1,
    .most_taps = 64,
    .taps = DefaultTaps::stages,
    .build = build};

}  // namespace kd
