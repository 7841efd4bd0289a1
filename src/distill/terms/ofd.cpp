#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// (..., C) -> (C): the mean of each channel's values below 0; 0 where there are none.
Value negative_means(Graph& graph, Value x) {
  const Shape shape = graph.shape(x), channels{shape[shape.rank() - 1]};
  const Value below = relu(graph, affine(graph, x, -1));
  const Value sums = sum_to(graph, below, channels);
  const Value counts = sum_to(graph, is_positive(graph, below), channels);
  const Value at_least_one = affine(graph, relu(graph, affine(graph, counts, 1, -1)), 1, 1);
  return affine(graph, div(graph, sums, at_least_one), -1);
}

// max(x, margin)
Value margin_relu(Graph& graph, Value x) {
  const Value margin = negative_means(graph, x);
  const Value above = relu(graph, sub(graph, x, margin));
  return add(graph, above, margin);
}

// The sum of (s - t)^2 where t > 0 or s > t.
Value partial_distance(Graph& graph, Value s, Value t) {
  const Value active = is_positive(graph, t);
  const Value apart = sub(graph, s, t), excess = relu(graph, apart);
  const Value on = mul(graph, active, mul(graph, apart, apart));
  const Value off = mul(graph, affine(graph, active, -1, 1), mul(graph, excess, excess));
  return sum_to(graph, add(graph, on, off), {});
}

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  std::vector<Value> layers;
  for (size_t i = term.taps().size(); i-- > 0;) {
    const Features& pair = term.taps()[i];
    const Features joined =
        term.adapted({pair.student, margin_relu(graph, pair.teacher), pair.name});
    layers.push_back(partial_distance(graph, joined.student, joined.teacher));
  }
  return halving_mean(graph, layers, term.batch());
}

}  // namespace

const TermDef term_ofd{
    .name = "ofd",
    .formula =
        "sum over layers l = 1..L of 2^(l-L) mean over pictures of sum of (r(h_s) - u)^2 where u > "
        "0 or r(h_s) > u, u = max(h_t, m_c) of layers before their ReLU, r a learned 1x1 "
        "convolution (overhaul of feature distillation, Heo et al., ICCV 2019). Other than there, "
        "m_c is the mean of the channel's negative values in the batch, not E[x | x < 0] of its "
        "batch norm, and r has no batch norm",
    .needs_teacher = true,
    .least_taps = 1,
    .most_taps = 64,
    .taps = DefaultTaps::pre_activations,
    .build = build};

}  // namespace kd
