#include <algorithm>

#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/error.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

constexpr int64_t kMostChannels = 512;

// Hierarchical context: squared distance at full size and of averages, each level half as much.
Value context_distance(Graph& graph, Value s, Value t) {
  const Shape shape = graph.shape(s);
  std::vector<Value> levels{mean_squared_difference(graph, s, t)};
  double weight = 1, weights = 1;
  for (const int64_t size : {4, 2, 1}) {
    if (size >= std::min(shape[1], shape[2])) continue;
    weight /= 2, weights += weight;
    const Value level = mean_squared_difference(graph, averaged_to(graph, s, size, size),
                                                averaged_to(graph, t, size, size));
    levels.push_back(affine(graph, level, weight));
  }
  return affine(graph, sum_of(graph, levels), 1 / weights);
}

// The deeper stage's map at the size of `like`.
Value enlarged(TermGraph& term, const Features& pair, Value deeper, Value like) {
  Graph& graph = term.graph();
  const Shape from = graph.shape(deeper), to = graph.shape(like);
  if (to[1] % from[1] != 0 || to[2] % from[2] != 0) {
    fail(ErrorCode::usage,
         "loss term 'review': at {} the map is {} by {}, no multiple of the deeper stage's {} by "
         "{}; name layers from shallow to deep",
         pair.name, to[1], to[2], from[1], from[2]);
  }
  return repeated(graph, deeper, to[1] / from[1], to[2] / from[2]);
}

// Attention based fusion: each place of both maps weighed by a learned gate.
Value fused(TermGraph& term, const Features& pair, Value own, Value deeper) {
  Graph& graph = term.graph();
  const Value both = concat(graph, {own, deeper}, 3);
  const Value gates =
      activation(graph, term.layer(pair.name + ".attention", both, 2), Activation::sigmoid);
  const auto gated = [&](Value x, int64_t i) {
    return mul(graph, x, slice(graph, gates, {{3}, {i}, {i + 1}, {1}}));
  };
  return add(graph, gated(own, 0), gated(deeper, 1));
}

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  const std::vector<Features>& taps = term.taps();
  for (const Features& pair : taps) term.expect_maps(pair);
  const int64_t width = std::min(kMostChannels, graph.shape(taps.back().student)[3]);
  std::vector<Value> stages;
  Value carried;  // of the deeper stages
  for (size_t i = taps.size(); i-- > 0;) {
    const Features pair = term.same_size(taps[i]);
    Value own = term.layer(pair.name + ".reduce", pair.student, width);
    if (carried) own = fused(term, pair, own, enlarged(term, pair, carried, own));
    carried = own;
    const int64_t channels = graph.shape(pair.teacher)[3];
    const Value output = term.layer(pair.name + ".output", own, channels, 3);
    stages.push_back(context_distance(graph, output, pair.teacher));
  }
  return sum_of(graph, stages);
}

}  // namespace

const TermDef term_review{
    .name = "review",
    .formula =
        "sum over stages, from the deepest, of HCL(o_l, h_t): x_l = g_1 r(h_s) + g_2 up(x_l+1), g "
        "= sigmoid(a(r(h_s), up(x_l+1))), o_l = c(x_l); r, a, c learned convolutions of 1x1, 1x1 "
        "and 3x3. HCL: mean squared distance at full size and averaged to 4x4, 2x2, 1x1 where "
        "smaller, weights 1, 1/2, ... over their sum (knowledge review, Chen et al. 2021; there "
        "with batch norm after r and c)",
    .needs_teacher = true,
    .least_taps = 2,
    .most_taps = 8,
    .taps = DefaultTaps::stages,
    .build = build};

}  // namespace kd
