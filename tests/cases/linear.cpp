// linear, linear_dgrad, linear_wgrad, batched_matmul.
#include "oracle/linear.h"

#include "cases/case.h"
#include "kd/term_ops.h"

namespace kd::test {
namespace {

struct LinearSizes {
  std::string name;
  int64_t n, d, k;
  Fill fill = normal();
};

Case forward(const LinearSizes& sizes, bool with_bias) {
  const auto [name, n, d, k, fill] = sizes;
  Case made;
  made.name = "linear_" + name + (with_bias ? "" : "_no_bias");
  made.leaves = {trained(f32("x", {n, d}, fill)), trained(f32("w", {k, d}))};
  if (with_bias) made.leaves.push_back(trained(f32("bias", {k})));
  made.build = [with_bias](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {linear(graph, in[0], in[1], with_bias ? in[2] : Value{})};
  };
  made.oracle = [with_bias](const Arrays& in) -> Arrays {
    return {oracle::linear(in[0], in[1], with_bias ? in[2] : Array{})};
  };
  made.tolerance.length = d + 1;
  made.tolerance.gradient_length = std::max(n, k);
  return made;
}

Case backward(const LinearSizes& sizes, bool of_weight) {
  const auto [name, n, d, k, fill] = sizes;
  const std::string op = of_weight ? "linear_wgrad" : "linear_dgrad";
  Case made;
  made.name = op + "_" + name;
  if (of_weight) made.leaves = {f32("x", {n, d}, fill), f32("dy", {n, k})};
  if (!of_weight) made.leaves = {f32("dy", {n, k}), f32("w", {k, d})};
  made.build = [op](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op(op), in, NoAttrs{});
  };
  made.oracle = [of_weight](const Arrays& in) -> Arrays {
    return {of_weight ? oracle::linear_wgrad(in[0], in[1]) : oracle::linear_dgrad(in[0], in[1])};
  };
  made.tolerance.length = of_weight ? n : k;
  return made;
}

struct BatchSizes {
  std::string name;
  int64_t groups, m, k, n;
};

Case batched(const BatchSizes& sizes, const BatchedMatmulAttrs& attrs) {
  const auto [name, g, m, k, n] = sizes;
  Case made;
  made.name = "batched_matmul_" + name + (attrs.transpose_a ? "_at" : "_a") +
              (attrs.transpose_b ? "_bt" : "_b");
  const Shape a = attrs.transpose_a ? Shape{g, k, m} : Shape{g, m, k};
  const Shape b = attrs.transpose_b ? Shape{g, n, k} : Shape{g, k, n};
  made.leaves = {trained(f32("a", a)), trained(f32("b", b, outliers()))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {batched_matmul(graph, in[0], in[1], attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::batched_matmul(in[0], in[1], {attrs.transpose_a, attrs.transpose_b})};
  };
  made.tolerance.length = k;
  made.tolerance.gradient_length = std::max(m, n);
  return made;
}

void add_batched(std::vector<Case>& cases) {
  for (const BatchSizes& sizes :
       {BatchSizes{"3x4x8x5", 3, 4, 8, 5}, BatchSizes{"one", 1, 1, 1, 1},
        BatchSizes{"odd", 2, 7, 13, 9}, BatchSizes{"gram", 1, 16, 33, 16},
        BatchSizes{"outer", 5, 3, 1, 7}, BatchSizes{"vectors", 9, 1, 19, 1}}) {
    for (const bool a : {false, true}) {
      for (const bool b : {false, true}) cases.push_back(batched(sizes, {a, b}));
    }
  }
  // One value as both operands: the Gram matrix of each picture.
  Case gram = batched({"with_itself", 3, 5, 11, 5}, {false, true});
  gram.leaves.pop_back();
  gram.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {batched_matmul(graph, in[0], in[0], {.transpose_b = true})};
  };
  gram.oracle = [](const Arrays& in) -> Arrays {
    return {oracle::batched_matmul(in[0], in[0], {false, true})};
  };
  cases.push_back(gram);
}

}  // namespace

std::vector<Case> linear_cases() {
  std::vector<Case> cases;
  for (const LinearSizes& sizes :
       {LinearSizes{"4x16x10", 4, 16, 10}, LinearSizes{"one", 1, 1, 1},
        LinearSizes{"batch1", 1, 33, 7}, LinearSizes{"odd", 5, 17, 9},
        LinearSizes{"one_class", 3, 10, 1}, LinearSizes{"one_feature", 3, 1, 16},
        LinearSizes{"head", 2, 64, 1000}, LinearSizes{"outliers", 16, 40, 10, outliers()}}) {
    cases.push_back(forward(sizes, true));
    cases.push_back(forward(sizes, false));
    cases.push_back(backward(sizes, true));
    cases.push_back(backward(sizes, false));
  }
  add_batched(cases);
  return cases;
}

}  // namespace kd::test
