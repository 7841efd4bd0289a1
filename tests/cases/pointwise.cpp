// add, mul, div, affine, exp, log, sqrt, cast, sum_to, broadcast_to, fill, and the builders sub and
// mean.
#include "oracle/pointwise.h"

#include <cmath>

#include "cases/case.h"
#include "kd/term_ops.h"

namespace kd::test {
namespace {

struct Pair {
  std::string name;
  Shape a, b;
};

struct Operation {
  std::string name;
  Value (*build)(Graph&, Value, Value, std::string);
  Array (*oracle)(const Array&, const Array&);
  Fill second;  // of the second operand
};
const Operation kOperations[] = {{"add", add, oracle::add, normal()},
                                 {"mul", mul, oracle::mul, normal()},
                                 {"div", div, oracle::div, uniform(0.5, 2)}};

Case binary(const Pair& pair, const Operation& operation) {
  Case made;
  made.name = operation.name + "_" + pair.name;
  made.leaves = {trained(f32("a", pair.a)), trained(f32("b", pair.b, operation.second))};
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {operation.build(graph, in[0], in[1], {})};
  };
  made.oracle = [=](const Arrays& in) -> Arrays { return {operation.oracle(in[0], in[1])}; };
  made.tolerance.gradient_length = std::max(pair.a.elements(), pair.b.elements());
  made.stays_f32 = {"neither"};  // both operands have one type
  const auto is_blocked = [](const Shape& shape) {
    return shape.rank() == 4 && (shape[3] == 16 || shape[3] == 24);
  };
  made.blocked = is_blocked(pair.a) || is_blocked(pair.b);
  return made;
}

// Without a gradient: for sizes of which the oracle should not be asked often.
Case forward_only(Case made) {
  for (Leaf& leaf : made.leaves) leaf.differentiable = false;
  made.blocked = false;
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
  struct Root {
    std::string name;
    Value (*build)(Graph&, Value, std::string);
    Oracle oracle;
  };
  for (const Root& root : {Root{"log", log, oracle::log}, Root{"sqrt", sqrt, oracle::sqrt}}) {
    const auto one = [build = root.build](Graph& graph, Value x) { return build(graph, x, {}); };
    for (const Shape& shape : {Shape{5, 7}, Shape{1, 1000}}) {
      cases.push_back(
          unary(root.name + "_" + std::to_string(shape.elements()), shape, one, root.oracle));
      cases.back().leaves[0].fill = uniform(0.25, 4);
    }
    cases.push_back(unary(root.name + "_extremes", {9}, one, root.oracle));
    cases.back().leaves = {
        f32("x", {9}, listed({0, -0.0, 1, 1 + 0x1p-20, 3e38, 1e-38, -1, INFINITY, NAN}))};
    cases.back().tolerance.elementwise = true;
  }
  for (const int64_t n : {1, 3, 4, 5, 8, 9, 4099}) {
    cases.push_back(
        forward_only(unary("affine_n" + std::to_string(n), {1, n}, affine_two, affine_oracle)));
  }
  cases.push_back(unary(
      "mean_everything", {3, 5, 7}, [](Graph& graph, Value x) { return mean(graph, x); },
      [](const Array& x) {
        return oracle::affine(oracle::sum_to(x, {}), 1 / static_cast<double>(x.size()), 0);
      }));
}

Leaf typed(DType dtype, Leaf leaf) {
  leaf.desc.dtype = dtype;
  return leaf;
}

// Rounded exactly; overflow, subnormals, ties, infinities and NaN included.
Case cast_case(DType from, DType to, int64_t count) {
  Case made;
  made.name = "cast_" + std::string(name_of(from)) + "_to_" + std::string(name_of(to)) + "_" +
              std::to_string(count);
  made.leaves = {typed(from, f32("x", {count}, normal(3)))};
  if (count == 16) {
    made.leaves[0].fill =
        listed({0, -0.0, 1e-7, -6e-8, 65504, 65519, 65520, -1e30, 1 + 0x1p-11, 1 + 3 * 0x1p-11,
                1 + 0x1p-8, 1 + 3 * 0x1p-8, INFINITY, -INFINITY, NAN, 3e38});
  }
  made.build = [to](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {cast(graph, in[0], to)};
  };
  made.oracle = [to](const Arrays& in) -> Arrays {
    Array y = in[0];
    for (double& value : y.data) value = rounded(to, value);
    return {y};
  };
  made.tolerance = {.a = 0, .b = 0};
  made.f32_only = true;
  return made;
}

void add_casts(std::vector<Case>& cases) {
  constexpr DType kFloats[] = {DType::f32, DType::f16, DType::bf16};
  for (const DType from : kFloats) {
    for (const DType to : kFloats) cases.push_back(cast_case(from, to, 16));
    const DType other = from == DType::f32 ? DType::f16 : DType::f32;
    for (const int64_t count : {1, 3, 5, 9, 4105}) {
      cases.push_back(cast_case(from, other, count));
    }
  }
  Case there_and_back{"cast_there_and_back", {trained(f32("x", {5, 7}))}, {}, {}};
  there_and_back.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {cast(graph, cast(graph, in[0], DType::f16), DType::f32)};
  };
  there_and_back.oracle = [](const Arrays& in) -> Arrays { return {in[0]}; };
  there_and_back.tolerance.dtype = DType::f16;
  there_and_back.f32_only = true;
  cases.push_back(there_and_back);
}

// Of a vector of 4 or 8: one less, one, one more, and several blocks of vectors with a tail.
void add_vector_sizes(std::vector<Case>& cases) {
  for (const int64_t n : {3, 4, 5, 7, 8, 9}) {
    cases.push_back(binary({"n" + std::to_string(n), {n}, {n}}, kOperations[0]));
  }
  for (const Operation& operation : kOperations) {
    for (const Pair& pair :
         {Pair{"blocks_equal", {3, 2741}, {3, 2741}}, Pair{"blocks_scalar", {3, 2741}, {1, 1}},
          Pair{"blocks_channels", {131, 64}, {64}}, Pair{"blocks_odd_channels", {131, 41}, {41}},
          Pair{"blocks_channels_first", {40}, {131, 40}},
          Pair{"blocks_pictures", {2, 8, 9, 40}, {2, 1, 1, 40}},
          Pair{"blocks_everything", {3, 1, 4, 1, 17}, {1, 5, 4, 9, 1}}}) {
      cases.push_back(forward_only(binary(pair, operation)));
    }
  }
}

void add_sums(std::vector<Case>& cases) {
  for (const Pair& pair :
       {Pair{"tall", {2309, 9}, {9}}, Pair{"tall_c64", {700, 64}, {64}},
        Pair{"wide", {5, 300}, {300}}, Pair{"wide_vectors", {9, 1032}, {1, 1032}},
        Pair{"total", {3, 11003}, {}}, Pair{"total_vectors", {4, 8192}, {}},
        Pair{"long_rows", {3, 1, 520}, {3, 1, 1}}, Pair{"gates", {3, 16, 9, 24}, {3, 1, 1, 24}},
        Pair{"middle", {4, 6, 37}, {1, 6, 1}}, Pair{"alternating", {3, 4, 5, 6, 7}, {4, 1, 6, 1}},
        Pair{"one_row", {1, 5}, {5}}, Pair{"seven_rows", {7, 8}, {8}}}) {
    cases.push_back(forward_only(sum_case(pair)));
    cases.push_back(forward_only(broadcast_case(pair)));
  }
}

}  // namespace

std::vector<Case> pointwise_cases() {
  std::vector<Case> cases;
  for (const Operation& operation : kOperations) {
    for (const Pair& pair :
         {Pair{"c16", {2, 3, 5, 16}, {2, 3, 5, 16}}, Pair{"c24", {1, 3, 3, 24}, {1, 3, 3, 24}},
          Pair{"odd", {3, 7}, {3, 7}}, Pair{"scalars", {}, {}}, Pair{"scalar", {2, 3}, {}},
          Pair{"bias", {2, 3, 5, 10}, {10}}, Pair{"bias_c16", {2, 3, 5, 16}, {16}},
          Pair{"gate", {2, 3, 5, 16}, {2, 1, 1, 16}}, Pair{"rows", {5, 9}, {5, 1}},
          Pair{"first_is_smaller", {1, 7}, {4, 7}}, Pair{"both_ways", {3, 1}, {1, 4}}}) {
      cases.push_back(binary(pair, operation));
    }
  }
  add_vector_sizes(cases);
  add_casts(cases);
  add_sums(cases);
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
