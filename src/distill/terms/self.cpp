#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  const Value map = stop_gradient(graph, term.taps().back().student);
  const Value logits = stop_gradient(graph, term.parts().student_logits);
  const int64_t classes = graph.shape(logits)[1];
  const Value targets = term.targets();
  std::vector<Value> parts;
  for (size_t i = 0; i + 1 < term.taps().size(); ++i) {
    const Features pair{term.taps()[i].student, map, term.taps()[i].name};
    term.expect_maps(pair);
    const Features joined = term.adapted(pair);
    const Value pooled = flatten(graph, global_avg_pool(graph, joined.student));
    const Value exit = term.layer(pair.name + ".classifier", pooled, classes);
    const auto weighted = [&](const char* weight, Value value) {
      parts.push_back(affine(graph, value, term.param(weight)));
    };
    weighted("ce", cross_entropy(graph, exit, targets));
    weighted("kl", softened_divergence(graph, exit, logits, term.param("temperature")));
    weighted("feature", mean_squared_difference(graph, joined.student, joined.teacher));
  }
  return sum_of(graph, parts);
}

}  // namespace

const TermDef term_self{
    .name = "self",
    .formula =
        "sum over exits of ce CE(e, y) + kl T^2 mean_i KL(p_T(s_i) || p_T(e_i)) + feature mean "
        "(r(h) - h_deepest)^2; an exit behind each of the student's stages but the deepest: r a "
        "learned 1x1 convolution of the averaged map, e = W a(r(h)) + b of its averages over "
        "places; s and h_deepest without a gradient (be your own teacher, Zhang et al., ICCV 2019)",
    .needs_labels = true,
    .params = {{"ce", 0.7, 0, 1e6, "weight of an exit's cross-entropy with the labels"},
               {"kl", 0.3, 0, 1e6, "weight of its divergence from the deepest logits"},
               {"temperature", 3, 1e-3, 1e3, "T of that divergence"},
               {"feature", 0.03, 0, 1e6, "weight of its map's distance from the deepest map"}},
    .least_taps = 2,
    .most_taps = 64,
    .taps = DefaultTaps::stages,
    .build = build};

}  // namespace kd
