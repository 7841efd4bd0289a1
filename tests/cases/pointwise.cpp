// add, mul, affine, exp, sum_to, broadcast_to, fill, and the builders sub and mean.
#include "oracle/pointwise.h"

#include <cmath>

#include "cases/case.h"
#include "kd/ops.h"

namespace kd::test {
namespace {

struct Pair {
  std::string name;
  Shape a, b;
};

Case binary(const Pair& pair, bool product) {
  Case made;
  made.name = std::string(product ? "mul_" : "add_") + pair.name;
  made.leaves = {trained(f32("a", pair.a)), trained(f32("b", pair.b))};
  made.build = [product](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {product ? mul(graph, in[0], in[1]) : add(graph, in[0], in[1])};
  };
  made.oracle = [product](const Arrays& in) -> Arrays {
    return {product ? oracle::mul(in[0], in[1]) : oracle::add(in[0], in[1])};
  };
  made.tolerance.gradient_length = std::max(pair.a.elements(), pair.b.elements());
  made.stays_f32 = {"neither"};  // both operands have one type
  const auto is_blocked = [](const Shape& shape) {
    return shape.rank() == 4 && (shape[3] == 16 || shape[3] == 24);
  };
  made.blocked = is_blocked(pair.a) || is_blocked(pair.b);
  return made;
}

using Build = std::function<Value(Graph&, Value)>;
using Oracle = std::function<Array(const Array&)>;

Case unary(std::string name, Shape x, Build build_one, Oracle of) {
  Case made;
  made.name = std::move(name);
  made.leaves = {trained(f32("x", x))};
  made.build = [build_one](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {build_one(graph, in[0])};
  };
  made.oracle = [of](const Arrays& in) -> Arrays { return {of(in[0])}; };
  made.tolerance.length = x.elements();
  return made;
}

Case sum_case(const Pair& pair) {  // of pair.a down to pair.b
  return unary(
      "sum_to_" + pair.name, pair.a,
      [b = pair.b](Graph& graph, Value x) { return sum_to(graph, x, b); },
      [b = pair.b](const Array& x) { return oracle::sum_to(x, dims_of(b)); });
}

Case broadcast_case(const Pair& pair) {  // of pair.b up to pair.a
  return unary(
      "broadcast_to_" + pair.name, pair.b,
      [a = pair.a](Graph& graph, Value x) { return broadcast_to(graph, x, a); },
      [a = pair.a](const Array& x) { return oracle::broadcast_to(x, dims_of(a)); });
}

void add_unary_cases(std::vector<Case>& cases) {
  const auto affine_two = [](Graph& graph, Value x) { return affine(graph, x, -2.5, 0.75); };
  const auto affine_oracle = [](const Array& x) { return oracle::affine(x, -2.5, 0.75); };
  cases.push_back(unary("affine_picture", {2, 3, 3, 16}, affine_two, affine_oracle));
  cases.back().blocked = true;
  cases.push_back(unary("affine_odd", {7, 9}, affine_two, affine_oracle));
  const auto exp_one = [](Graph& graph, Value x) { return exp(graph, x); };
  cases.push_back(unary("exp_odd", {5, 7}, exp_one, oracle::exp));
  cases.push_back(unary("exp_long", {1, 1000}, exp_one, oracle::exp));
  cases.push_back(unary("exp_extremes", {7}, exp_one, oracle::exp));
  cases.back().leaves = {f32("x", {7}, listed({0, -0.0, 80, -80, 200, -200, -INFINITY}))};
  cases.push_back(unary(
      "mean_everything", {3, 5, 7}, [](Graph& graph, Value x) { return mean(graph, x); },
      [](const Array& x) {
        return oracle::affine(oracle::sum_to(x, {}), 1 / static_cast<double>(x.size()), 0);
      }));
}

}  // namespace

std::vector<Case> pointwise_cases() {
  std::vector<Case> cases;
  for (const bool product : {false, true}) {
    for (const Pair& pair :
         {Pair{"c16", {2, 3, 5, 16}, {2, 3, 5, 16}}, Pair{"c24", {1, 3, 3, 24}, {1, 3, 3, 24}},
          Pair{"odd", {3, 7}, {3, 7}}, Pair{"scalars", {}, {}}, Pair{"scalar", {2, 3}, {}},
          Pair{"bias", {2, 3, 5, 10}, {10}}, Pair{"bias_c16", {2, 3, 5, 16}, {16}},
          Pair{"gate", {2, 3, 5, 16}, {2, 1, 1, 16}}, Pair{"rows", {5, 9}, {5, 1}},
          Pair{"first_is_smaller", {1, 7}, {4, 7}}, Pair{"both_ways", {3, 1}, {1, 4}}}) {
      cases.push_back(binary(pair, product));
    }
  }
  for (const Pair& pair :
       {Pair{"scalar", {3, 5, 7}, {}}, Pair{"channels", {2, 3, 5, 10}, {10}},
        Pair{"rows", {5, 9}, {5, 1}}, Pair{"pictures", {2, 3, 5, 16}, {2, 1, 1, 16}},
        Pair{"same", {3, 4}, {3, 4}}, Pair{"long", {3, 21843}, {3, 1}},
        Pair{"batch", {33, 7}, {7}}}) {
    cases.push_back(sum_case(pair));
    cases.push_back(broadcast_case(pair));
  }
  add_unary_cases(cases);

  Case difference{"sub_rows", {trained(f32("a", {4, 7})), trained(f32("b", {4, 1}))}, {}, {}};
  difference.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {sub(graph, in[0], in[1])};
  };
  difference.oracle = [](const Arrays& in) -> Arrays {
    return {oracle::add(in[0], oracle::affine(in[1], -1, 0))};
  };
  difference.tolerance.gradient_length = 7;
  cases.push_back(difference);

  Case filled{"fill_matrix", {}, {}, {}};
  filled.build = [](Graph& graph, const std::vector<Value>&) -> std::vector<Value> {
    return {fill(graph, {3, 5}, -0.125), fill(graph, {}, 7)};
  };
  filled.oracle = [](const Arrays&) -> Arrays {
    return {oracle::fill({3, 5}, -0.125), oracle::fill({}, 7)};
  };
  cases.push_back(filled);
  return cases;
}

}  // namespace kd::test
