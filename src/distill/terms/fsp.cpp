#include <algorithm>

#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// Two layers' flow: products of their channels, averaged over places, (N, C1, C2).
Value flow(Graph& graph, Value a, Value b) {
  const Shape from = graph.shape(a), to = graph.shape(b);
  const int64_t height = std::min(from[1], to[1]), width = std::min(from[2], to[2]);
  const Value x = places_by_channels(graph, averaged_to(graph, a, height, width));
  const Value y = places_by_channels(graph, averaged_to(graph, b, height, width));
  const Value products = batched_matmul(graph, x, y, {.transpose_a = true});
  return affine(graph, products, 1 / static_cast<double>(height * width));
}

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  std::vector<Features> joined;
  for (const Features& pair : term.taps()) {
    term.expect_maps(pair);
    joined.push_back(term.adapted(pair, false));
  }
  std::vector<Value> flows;
  for (size_t i = 0; i + 1 < joined.size(); ++i) {
    const Features &from = joined[i], &to = joined[i + 1];
    flows.push_back(mean_squared_difference(graph, flow(graph, from.student, to.student),
                                            flow(graph, from.teacher, to.teacher)));
  }
  return sum_of(graph, flows);
}

}  // namespace

const TermDef term_fsp{
    .name = "fsp",
    .formula =
        "sum over consecutive layers of mean (G(s_l, s_l+1) - G(t_l, t_l+1))^2, G_ij(x, y) = mean "
        "over places of x_i y_j, the larger map averaged down (flow of solution procedure, Yim et "
        "al. 2017); the student's layers through a learned 1x1 convolution where widths differ",
    .needs_teacher = true,
    .least_taps = 2,
    .most_taps = 64,
    .taps = DefaultTaps::stages,
    .build = build};

}  // namespace kd
