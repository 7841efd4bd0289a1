// Terms without a teacher: self, mutual. What a term takes without a gradient comes twice in a
// case, and the oracle reads the copy: then central differences see no gradient through it either.
#include "cases/term_case.h"
#include "oracle/distill.h"
#include "oracle/features.h"
#include "oracle/pool.h"

namespace kd::test {
namespace {

Fill copy_of(size_t leaf) {
  return [leaf](Array& array, Random&, std::span<const Array> earlier) { array = earlier[leaf]; };
}

// An exit's parameters: the layer that widens the map, the classifier.
std::vector<Leaf> exit_leaves(const std::string& exit, Shape widen, int64_t classes) {
  std::vector<Leaf> leaves = trained_layer("self." + exit, widen);
  for (Leaf& leaf : trained_layer("self." + exit + ".classifier", {classes, widen[0]})) {
    leaves.push_back(std::move(leaf));
  }
  return leaves;
}

struct ExitWeights {
  double labels = 0.7, divergence = 0.3, temperature = 3, map = 0.03;
};

// Inputs: `exits` shallow maps, the deepest; then the logits, the labels, four tensors an exit.
double exits_value(const Arrays& in, size_t exits, const ExitWeights& weights) {
  const Array &deepest = in[exits], &logits = in[exits + 1], &labels = in[exits + 2];
  double sum = 0;
  for (size_t i = 0; i < exits; ++i) {
    const Array* own = &in[exits + 3 + 4 * i];
    const Array map = oracle::adapted(oracle::averaged_down(in[i], deepest.dim(1), deepest.dim(2)),
                                      own[0], own[1]);
    Array pooled = oracle::global_avg_pool(map);
    pooled.shape = {map.dim(0), map.dim(3)};
    const Array exit = oracle::adapted(pooled, own[2], own[3]);
    sum += weights.labels * oracle::cross_entropy(exit, {labels}, 0).value +
           weights.divergence * oracle::kl(exit, logits, weights.temperature).value +
           weights.map * oracle::mean_squared_difference(map, deepest);
  }
  return sum;
}

void add_self(std::vector<Case>& cases) {
  const Leaf logits = f32("student_logits", {5, 6}, normal(3));
  const Leaf labels = i32("labels", {5}, listed({2, 5, -1, 0, 3}));
  std::vector<Leaf> others{logits, labels};
  for (Leaf& leaf : exit_leaves("0", {7, 1, 1, 3}, 6)) others.push_back(std::move(leaf));
  cases.push_back(
      term_case({.name = "one_exit",
                 .term = "self",
                 .layers = {student_layer({5, 6, 4, 3}, "0"), f32("deepest", {5, 3, 2, 7})},
                 .others = others,
                 .oracle = [](const Arrays& in) { return scalar(exits_value(in, 1, {})); }}));
  for (Leaf& leaf : exit_leaves("1", {7, 1, 1, 7}, 6)) others.push_back(std::move(leaf));
  const ExitWeights other{0.5, 2, 1.5, 0.25};
  cases.push_back(term_case(
      {.name = "two_exits",
       .term = "self",
       .spec = {.name = "self",
                .params = {{"ce", 0.5}, {"kl", 2}, {"temperature", 1.5}, {"feature", 0.25}}},
       .layers = {student_layer({5, 6, 4, 3}, "0"), student_layer({5, 3, 2, 7}, "1"),
                  f32("deepest", {5, 3, 2, 7})},
       .others = others,
       .oracle = [other](const Arrays& in) { return scalar(exits_value(in, 2, other)); }}));
}

void add_mutual(std::vector<Case>& cases) {
  const auto mutual = [&](const std::string& name, double temperature, const Fill& fill) {
    const Shape shape{7, 5};
    cases.push_back(term_case(
        {.name = name,
         .term = "mutual",
         .spec = {.name = "mutual", .params = {{"temperature", temperature}}},
         .others = {trained(f32("student_logits", shape, fill)),
                    trained(f32("peer_logits", shape, fill)),
                    i32("labels", {7}, whole_numbers(0, 4)),
                    f32("student_still", shape, copy_of(0)), f32("peer_still", shape, copy_of(1))},
         .oracle = [temperature](const Arrays& in) {
           return scalar(oracle::kl(in[0], in[4], temperature).value +
                         oracle::cross_entropy(in[1], {in[2]}, 0).value +
                         oracle::kl(in[1], in[3], temperature).value);
         }}));
  };
  mutual("plain", 1, normal(2));
  mutual("warm", 4, normal(6));
  const Shape shape{4, 3};
  cases.push_back(term_case(
      {.name = "mixed",
       .term = "mutual",
       .others = {f32("student_logits", shape), trained(f32("peer_logits", shape)),
                  i32("labels", {4}, listed({0, 2, -1, 1})),
                  i32("partner_labels", {4}, listed({2, 2, 1, -1})),
                  f32("shares", {4}, uniform(0, 1)), f32("peer_still", shape, copy_of(1))},
       .oracle = [](const Arrays& in) {
         return scalar(oracle::kl(in[0], in[5], 1).value +
                       oracle::cross_entropy(in[1], {in[2], in[3], in[4]}, 0).value +
                       oracle::kl(in[1], in[0], 1).value);
       }}));
}

}  // namespace

std::vector<Case> peer_term_cases() {
  std::vector<Case> cases;
  add_self(cases);
  add_mutual(cases);
  return cases;
}

}  // namespace kd::test
