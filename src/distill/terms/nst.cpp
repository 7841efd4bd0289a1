#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// (N, H, W, C) -> (N, H * W, C), each channel's map of L2 norm 1.
Value unit_maps(Graph& graph, Value x) {
  const Value maps = places_by_channels(graph, x);
  const Shape shape = graph.shape(maps);
  return unit_along(graph, maps, {shape[0], 1, shape[2]});
}

// The mean of (x_i . y_j)^2 over pictures and pairs of channels.
Value kernel_mean(Graph& graph, Value x, Value y) {
  const Value products = batched_matmul(graph, x, y, {.transpose_a = true});
  return mean(graph, mul(graph, products, products));
}

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  std::vector<Value> layers;
  for (const Features& pair : term.taps()) {
    term.expect_maps(pair);
    const Features joined = term.same_size(pair);
    const Value s = unit_maps(graph, joined.student), t = unit_maps(graph, joined.teacher);
    const Value own = add(graph, kernel_mean(graph, t, t), kernel_mean(graph, s, s));
    layers.push_back(add(graph, own, affine(graph, kernel_mean(graph, s, t), -2)));
  }
  return sum_of(graph, layers);
}

}  // namespace

const TermDef term_nst{
    .name = "nst",
    .formula =
        "sum over layers of mean over pictures of MMD^2 = mean k(t_i, t_j) + mean k(s_i, s_j) - 2 "
        "mean k(s_i, t_j) over channels' maps of L2 norm 1, k(x, y) = (x . y)^2 (neuron "
        "selectivity transfer, Huang and Wang 2017)",
    .needs_teacher = true,
    .least_taps = 1,
    .most_taps = 64,
    .taps = DefaultTaps::stages,
    .build = build};

}  // namespace kd
