// softmax, log_softmax, their gradients, one_hot, arg_max, top_k_correct, dropout.
#include "oracle/rows.h"

#include <cmath>

#include "cases/case.h"
#include "kd/term_ops.h"

namespace kd::test {
namespace {

constexpr int64_t kRowLengths[] = {1, 2, 7, 8, 9, 10, 16, 100, 1000, 1025, 21843};

Case softmax_case(const std::string& name, Shape x, double temperature, bool logarithm) {
  Case made;
  made.name = std::string(logarithm ? "log_softmax_" : "softmax_") + name;
  // Of very long rows most probabilities vanish in a central difference: only values are compared.
  Leaf leaf = f32("x", x, outliers());
  made.leaves = {x[1] > 1000 ? leaf : trained(leaf)};
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {logarithm ? log_softmax(graph, in[0], temperature)
                      : softmax(graph, in[0], temperature)};
  };
  made.oracle = [=](const Arrays& in) -> Arrays {
    return {logarithm ? oracle::log_softmax(in[0], temperature)
                      : oracle::softmax(in[0], temperature)};
  };
  // x / T is rounded before exp: an error of eps |x / T|, up to 60 / T here.
  made.tolerance.a = 8 + 64 / std::min(temperature, 1.0);
  made.tolerance.length = x[1];
  return made;
}

// Masked classes (-inf) get probability 0; equal logits share it; huge ones do not overflow.
Case softmax_extremes(bool logarithm) {
  Case made = softmax_case("extremes", {4, 9}, 1, logarithm);
  const Fill rows = [](Array& leaf, Random& random, std::span<const Array>) {
    normal()(leaf, random, {});
    for (int64_t i = 0; i < 9; ++i) {
      if (i % 2 == 1) leaf.at(i) = -INFINITY;
      leaf.at(9 + i) = 88;
      leaf.at(18 + i) = i == 4 ? 1e4 : -1e4;
      if (i != 3) leaf.at(27 + i) = -INFINITY;
    }
  };
  made.leaves = {f32("x", {4, 9}, rows)};
  return made;
}

// The gradients as ops of dy and y, where y is any matrix of at most 1 (log_softmax: 0).
Case softmax_backward_case(const std::string& name, Shape x, double temperature, bool logarithm) {
  const std::string op = logarithm ? "log_softmax_backward" : "softmax_backward";
  Case made;
  made.name = op + "_" + name;
  made.leaves = {f32("dy", x), f32("y", x, logarithm ? uniform(-9, 0) : uniform(0, 1))};
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return graph.add(*find_op(op), in, SoftmaxAttrs{temperature});
  };
  made.oracle = [=](const Arrays& in) -> Arrays {
    return {oracle::softmax_backward(in[0], in[1], temperature, logarithm)};
  };
  made.tolerance = {.a = 8, .b = 1, .length = x[1]};
  return made;
}

Case one_hot_case(const std::string& name, int64_t n, int64_t classes, double smoothing,
                  int64_t least_label = 0) {
  Case made;
  made.name = "one_hot_" + name;
  made.leaves = {i32("labels", {n}, whole_numbers(least_label, classes - 1))};
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {one_hot(graph, in[0], classes, smoothing)};
  };
  made.oracle = [=](const Arrays& in) -> Arrays {
    return {oracle::one_hot(in[0], classes, smoothing)};
  };
  return made;
}

Case arg_max_case(const std::string& name, Shape x, Fill fill) {
  Case made;
  made.name = "arg_max_" + name;
  made.leaves = {f32("x", x, std::move(fill))};
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {arg_max(graph, in[0])};
  };
  made.oracle = [](const Arrays& in) -> Arrays { return {oracle::arg_max(in[0])}; };
  made.tolerance = {.a = 0, .b = 0};
  return made;
}

void add_arg_max(std::vector<Case>& cases) {
  cases.push_back(arg_max_case("10", {33, 10}, normal()));
  cases.push_back(arg_max_case("long", {3, 1023}, outliers()));
  cases.push_back(arg_max_case("one_class", {4, 1}, normal()));
  cases.push_back(arg_max_case("below_0", {5, 9}, uniform(-9, -1)));
  cases.push_back(arg_max_case("ties", {65, 7}, whole_numbers(-1, 1)));
  cases.push_back(arg_max_case("zeros", {3, 4}, listed({-0.0, 0, -0.0, 0})));
  cases.push_back(
      arg_max_case("not_finite", {4, 4},
                   listed({NAN, 1, INFINITY, INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY,
                           NAN, NAN, NAN, NAN, NAN, -INFINITY, -3e38, NAN})));
}

Case top_k_case(const std::string& name, Shape x, int k, Fill fill, int64_t least_label = 0) {
  Case made;
  made.name = "top_k_correct_" + name;
  made.leaves = {f32("logits", x, std::move(fill)),
                 i32("labels", {x[0]}, whole_numbers(least_label, x[1] - 1))};
  made.build = [k](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {top_k_correct(graph, in[0], in[1], k)};
  };
  made.oracle = [k](const Arrays& in) -> Arrays {
    return {Array::scalar(oracle::top_k_correct(in[0], in[1], k))};
  };
  made.tolerance = {.a = 0, .b = 0};
  return made;
}

struct DropoutSizes {
  std::string name;
  Shape x;
  DropoutAttrs attrs;
  double seed = 7, step = 0;
};

Case dropout_case(const DropoutSizes& sizes) {
  const DropoutAttrs attrs = sizes.attrs;
  Case made;
  made.name = "dropout_" + sizes.name;
  made.leaves = {trained(f32("x", sizes.x)),
                 Leaf{"key", {DType::i64, {2}}, listed({sizes.seed, sizes.step})}};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {dropout(graph, in[0], in[1], attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::dropout(
        in[0], {attrs.rate, static_cast<uint64_t>(in[1].at(0)), static_cast<uint64_t>(in[1].at(1)),
                static_cast<uint64_t>(attrs.tensor_id)})};
  };
  made.blocked = sizes.x.rank() == 4;
  return made;
}

void add_dropouts(std::vector<Case>& cases) {
  for (const DropoutSizes& sizes : {
           DropoutSizes{"half", {3, 7}, {.rate = 0.5}},
           DropoutSizes{"fifth", {5, 101}, {.rate = 0.2, .tensor_id = 3}, 11, 12345},
           DropoutSizes{"none", {3, 7}, {.rate = 0}},
           DropoutSizes{"nearly_all", {3, 77}, {.rate = 0.97}},
           DropoutSizes{"high_words",
                        {4, 33},
                        {.rate = 0.5, .tensor_id = 0x1234567890},
                        static_cast<double>(0x1A2B3C4D5E6F),
                        4294967295},
           DropoutSizes{"picture", {2, 3, 3, 16}, {.rate = 0.3, .tensor_id = 1}, 1, 2},
       }) {
    cases.push_back(dropout_case(sizes));
  }
  Case passed{"dropout_without_key", {f32("x", {3, 5})}, {}, {}};
  passed.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {dropout(graph, in[0], {}, {.rate = 0.5})};
  };
  passed.oracle = [](const Arrays& in) -> Arrays { return {in[0]}; };
  cases.push_back(passed);
}

}  // namespace

std::vector<Case> rows_cases() {
  std::vector<Case> cases;
  for (const bool logarithm : {false, true}) {
    for (const int64_t k : kRowLengths) {
      cases.push_back(softmax_case(std::to_string(k), {k > 1000 ? 2 : 3, k}, 1, logarithm));
    }
    cases.push_back(softmax_case("cold", {3, 10}, 0.1, logarithm));
    cases.push_back(softmax_case("hot", {3, 10}, 20, logarithm));
    cases.push_back(softmax_case("batch1", {1, 16}, 4, logarithm));
    cases.push_back(softmax_extremes(logarithm));
    for (const int64_t k : {1, 7, 8, 33, 1000, 1025, 5001}) {
      cases.push_back(softmax_backward_case(std::to_string(k), {3, k}, 1, logarithm));
    }
    cases.push_back(softmax_backward_case("hot", {5, 10}, 20, logarithm));
  }
  cases.push_back(one_hot_case("plain", 5, 10, 0));
  cases.push_back(one_hot_case("smoothed", 7, 3, 0.1));
  cases.push_back(one_hot_case("one_class", 3, 1, 0.5));
  add_arg_max(cases);
  cases.push_back(top_k_case("top1", {33, 10}, 1, normal()));
  cases.push_back(top_k_case("top5", {33, 100}, 5, normal()));
  cases.push_back(top_k_case("all", {5, 3}, 3, normal()));
  cases.push_back(top_k_case("more_than_classes", {5, 3}, 5, normal()));
  cases.push_back(top_k_case("ties_lose", {64, 4}, 2, whole_numbers(0, 1)));
  cases.push_back(top_k_case("one_class", {4, 1}, 1, normal()));
  cases.push_back(one_hot_case("unlabelled", 9, 3, 0.1, -1));
  cases.push_back(top_k_case("unlabelled", {33, 4}, 2, normal(), -1));
  cases.push_back(top_k_case("odd_rows", {9, 1023}, 300, normal()));
  add_dropouts(cases);
  return cases;
}

}  // namespace kd::test
