#include <algorithm>

#include "distill/terms/terms.h"
#include "kd/error.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// The largest tensors have N^2 max(N, D) elements, about ten of them at once: 512 MiB each at most.
constexpr int64_t kMostElements = int64_t{1} << 27;

struct Relations {
  Value distances;  // (N, N), divided by their mean over pairs i != j
  Value angles;     // (N, N, N): cosine of the angle at picture i between j and k
};

void check_size(TermGraph& term, Value x) {
  const Shape shape = term.graph().shape(x);
  const int64_t elements = shape[0] * shape[0] * std::max(shape[0], shape[1]);
  if (elements <= kMostElements) return;
  fail(ErrorCode::usage,
       "loss term 'rkd': a batch of {} pictures with {} features needs tensors of {} MiB, at most "
       "{}: lower the batch, or tap a layer with fewer features",
       shape[0], shape[1], elements >> 18, kMostElements >> 18);
}

Relations relations(TermGraph& term, Value x) {
  Graph& graph = term.graph();
  x = term.rows(x);
  check_size(term, x);
  const int64_t n = graph.shape(x)[0], width = graph.shape(x)[1];
  const Value apart =
      sub(graph, reshape(graph, x, {1, n, width}), reshape(graph, x, {n, 1, width}));
  const Value lengths = lengths_along(graph, apart, {n, n, 1});
  const Value unit = div(graph, apart, lengths);
  const Value distances = reshape(graph, lengths, {n, n});
  const auto pairs = static_cast<double>(std::max<int64_t>(n * (n - 1), 1));
  const Value mean_distance = affine(graph, sum_to(graph, distances, {}), 1 / pairs);
  return {div(graph, distances, mean_distance),
          batched_matmul(graph, unit, unit, {.transpose_b = true})};
}

// mean of x^2 / 2 where |x| < 1, |x| - 1/2 elsewhere: c (|x| - c / 2) with c = min(|x|, 1).
Value mean_smooth_l1(Graph& graph, Value x) {
  const Value size = add(graph, relu(graph, x), relu(graph, affine(graph, x, -1)));
  const Value capped = sub(graph, size, relu(graph, affine(graph, size, 1, -1)));
  return mean(graph, mul(graph, capped, sub(graph, size, affine(graph, capped, 0.5))));
}

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  const Features& pair = term.taps()[0];
  const Relations s = relations(term, pair.student), t = relations(term, pair.teacher);
  const Value distance = mean_smooth_l1(graph, sub(graph, s.distances, t.distances));
  const Value angle = mean_smooth_l1(graph, sub(graph, s.angles, t.angles));
  return add(graph, affine(graph, distance, term.param("distance")),
             affine(graph, angle, term.param("angle")));
}

}  // namespace

const TermDef term_rkd{
    .name = "rkd",
    .formula =
        "distance mean_ij l(d^s_ij - d^t_ij) + angle mean_ijk l(a^s_ijk - a^t_ijk), l smooth L1, d "
        "= |h_i - h_j| over its mean of i != j, a = cos of the angle at i between j and k "
        "(relational distillation, Park et al. 2019); tensors of N^2 max(N, D) elements",
    .needs_teacher = true,
    .params = {{"distance", 25, 0, 1e6, "weight of the distances"},
               {"angle", 50, 0, 1e6, "weight of the angles"}},
    .least_taps = 1,
    .most_taps = 1,
    .taps = DefaultTaps::features,
    .build = build};

}  // namespace kd
