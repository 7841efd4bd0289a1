// gradient_squares, gradient_accumulate, ema_update, max_norm, loss_scale_update, advance_step.
#include <algorithm>
#include <cmath>
#include <optional>

#include "cases/case.h"
#include "kd/optimizer_ops.h"
#include "oracle/optimizer.h"

namespace kd::test {
namespace {

Leaf typed(DType dtype, Leaf leaf) {
  leaf.desc.dtype = dtype;
  return leaf;
}

// The partial sums may cover any parts: their sum is what counts.
Case squares_case(const std::string& name, DType low, int64_t lows, int64_t highs) {
  Case made;
  made.name = "gradient_squares_" + name;
  made.leaves = {typed(low, f32("low", {lows})), f32("high", {highs}, normal(3))};
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {sum_to(graph, gradient_squares(graph, in[0], in[1]), {})};
  };
  made.oracle = [](const Arrays& in) -> Arrays {
    return {Array::scalar(oracle::sum_of_squares(oracle::joined(in[0], in[1])))};
  };
  made.tolerance.length = lows + highs;
  made.f32_only = true;
  return made;
}

struct Scaling {
  std::string name;
  double square, scale;
  std::vector<double> counters;
  LossScaleAttrs attrs;
};

Case scale_case(const Scaling& of) {
  Case made;
  made.name = "loss_scale_update_" + of.name;
  made.leaves = {f32("squares", {kGradientPartials}, constant(1)),
                 state(f32("scale", {1}, constant(of.scale))),
                 state(i32("counters", {2}, listed(of.counters)))};
  made.leaves[0].fill = [of](Array& leaf, Random&, std::span<const Array>) {
    for (double& element : leaf.data) element = 1;
    leaf.data[leaf.data.size() / 2] = of.square;
  };
  made.build = [attrs = of.attrs](Graph& graph,
                                  const std::vector<Value>& in) -> std::vector<Value> {
    loss_scale_update(graph, in[0], in[1], in[2], attrs);
    return {};
  };
  made.oracle = [a = of.attrs](const Arrays& in) -> Arrays {
    double squares = 0;
    for (const double square : in[0].data) squares += square;
    const oracle::LossScaleState made_state =
        oracle::loss_scale({in[1], in[2]}, squares,
                           {a.growth, a.backoff, static_cast<double>(a.interval), a.least, a.most});
    return {made_state.scale, made_state.counters};
  };
  made.tolerance = {.a = 0, .b = 0};
  made.f32_only = true;
  return made;
}

Case step_case(const std::string& name, double step, int64_t columns,
               const std::vector<double>& table) {
  Case made;
  made.name = "advance_step_" + name;
  made.leaves = {
      state(typed(DType::i64, f32("key", {2}, listed({12345678901.0, step})))),
      state(f32("row", {columns})),
      f32("table", {static_cast<int64_t>(table.size()) / columns, columns}, listed(table))};
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    advance_step(graph, in[0], in[1], in[2]);
    return {};
  };
  made.oracle = [columns](const Arrays& in) -> Arrays {
    Array key = in[0];
    key.at(1) += 1;
    const double last = static_cast<double>(in[2].dim(0) - 1);
    const auto at = static_cast<int64_t>(std::min(key.at(1), last));
    Array row = Array::zeros({columns});
    for (int64_t c = 0; c < columns; ++c) row.at(c) = in[2].at(at * columns + c);
    return {key, row};
  };
  made.tolerance = {.a = 0, .b = 0};
  made.f32_only = true;
  return made;
}

// Of one gradient, all of it f32.
Case high_squares_case(int64_t count) {
  Case made;
  made.name = "gradient_squares_of_one_gradient";
  made.leaves = {f32("high", {count}, normal(3))};
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {sum_to(graph, gradient_squares(graph, {}, in[0]), {})};
  };
  made.oracle = [](const Arrays& in) -> Arrays {
    return {Array::scalar(oracle::sum_of_squares(in[0]))};
  };
  made.tolerance.length = count;
  made.f32_only = true;
  return made;
}

struct Accumulation {
  std::string name;
  DType gradient = DType::f32;
  int64_t count = 0;
  AccumulateAttrs attrs = {};
  Fill sum = normal();
};

Case accumulate_case(const Accumulation& of) {
  Case made;
  made.name = "gradient_accumulate_" + of.name;
  made.leaves = {state(f32("sum", {of.count}, of.sum)),
                 typed(of.gradient, f32("gradient", {of.count}, outliers()))};
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    gradient_accumulate(graph, in[0], in[1], of.attrs);
    return {};
  };
  made.oracle = [=](const Arrays& in) -> Arrays {
    Array sum = in[0];
    for (int64_t i = 0; i < sum.size(); ++i) {
      const double kept = of.attrs.keep == 0 ? 0 : of.attrs.keep * sum.at(i);
      sum.at(i) = kept + of.attrs.scale * in[1].at(i);
    }
    return {sum};
  };
  made.f32_only = true;
  return made;
}

Case ema_case(const std::string& name, int64_t count, double decay) {
  Case made;
  made.name = "ema_update_" + name;
  made.leaves = {state(f32("average", {count})), f32("w", {count}, outliers())};
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    ema_update(graph, in[0], in[1], {decay});
    return {};
  };
  made.oracle = [=](const Arrays& in) -> Arrays {
    Array average = in[0];
    for (int64_t i = 0; i < average.size(); ++i) {
      average.at(i) = decay * average.at(i) + (1 - decay) * in[1].at(i);
    }
    return {average};
  };
  made.f32_only = true;
  return made;
}

// Rows of every third length a tenth of the others': some are within the limit.
Fill uneven_rows(int64_t columns) {
  return [=](Array& leaf, Random& random, std::span<const Array>) {
    normal()(leaf, random, {});
    for (int64_t i = 0; i < leaf.size(); ++i) leaf.at(i) *= i / columns % 3 == 1 ? 0.1 : 1.0;
  };
}

struct Limited {
  std::string name;
  Shape shape;
  double limit = 1;
  std::optional<DType> low = {};
};

Case max_norm_case(const Limited& of) {
  const int64_t columns = of.shape.elements() / of.shape[0];
  Case made;
  made.name = "max_norm_" + of.name;
  made.leaves = {state(f32("w", of.shape, uneven_rows(columns)))};
  if (of.low) made.leaves.push_back(state(typed(*of.low, f32("low", of.shape))));
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    max_norm(graph, in[0], of.low ? in[1] : Value{}, {of.limit});
    return {};
  };
  made.oracle = [=](const Arrays& in) -> Arrays {
    const Array limited = oracle::max_norm(in[0], columns, of.limit);
    if (!of.low) return {limited};
    Array low = limited;
    for (double& element : low.data) element = rounded(*of.low, element);
    return {limited, low};
  };
  made.tolerance.length = columns;
  if (of.low) {  // a copy may be rounded the other way
    made.tolerance.dtype = *of.low;
    made.tolerance.roundings = 1;
  }
  made.f32_only = true;
  return made;
}

void add_weights(std::vector<Case>& cases) {
  for (const Accumulation& of : {
           Accumulation{"f32", DType::f32, 1027},
           Accumulation{"f16", DType::f16, 1026, {.scale = 0.25}},
           Accumulation{"bf16", DType::bf16, 2100, {.keep = 0.5, .scale = 3}},
           Accumulation{"one", DType::f16, 1},
           Accumulation{"first", DType::f16, 133, {.keep = 0, .scale = 0.5}, constant(NAN)},
           Accumulation{"first_f32", DType::f32, 133, {.keep = 0}, constant(NAN)},
       }) {
    cases.push_back(accumulate_case(of));
  }
  cases.push_back(ema_case("slow", 1031, 0.999));
  cases.push_back(ema_case("fast", 64, 0.5));
  cases.push_back(ema_case("none", 3, 0));
  cases.push_back(ema_case("all", 5, 1));
  for (const Limited& of : {
           Limited{"linear", {10, 65}, 2},
           Limited{"convolution", {7, 3, 3, 16}, 3},
           Limited{"long_rows", {3, 2052}, 10},
           Limited{"one_column", {9, 1}, 0.5},
           Limited{"within", {6, 20}, 1e3},
           Limited{"f16", {7, 3, 3, 16}, 3, DType::f16},
           Limited{"bf16", {5, 33}, 2, DType::bf16},
           Limited{"f16_within", {6, 20}, 1e3, DType::f16},
       }) {
    cases.push_back(max_norm_case(of));
  }
}

}  // namespace

std::vector<Case> training_cases() {
  std::vector<Case> cases{
      high_squares_case(1027),
      squares_case("f16", DType::f16, 2057, 37),
      squares_case("bf16", DType::bf16, 9, 1030),
      squares_case("f32", DType::f32, 1027, 3),
      squares_case("one", DType::f16, 1, 1),
      scale_case({"counts", 1, 1024, {3, 2}, {.interval = 5}}),
      scale_case({"grows", 1, 1024, {4, 2}, {.interval = 5}}),
      scale_case({"reaches_the_most", 1, 0x1p24, {4, 2}, {.interval = 5}}),
      scale_case({"backs_off", INFINITY, 1024, {4, 2}, {.interval = 5}}),
      scale_case({"backs_off_at_nan", NAN, 1024, {4, 2}, {.backoff = 0.25}}),
      scale_case({"reaches_the_least", NAN, 1.5, {0, 0}, {}}),
      step_case("first", -1, 1, {0.5, 0.25, 0.125}),
      step_case("middle", 0, 1, {0.5, 0.25, 0.125}),
      step_case("last", 1, 3, {0.5, 0.25, 0.125, 4, 5, 6, 7, 8, 9}),
      step_case("beyond", 5000000000.0, 2, {0.5, 0.25, 0.125, 1}),
      step_case("one_row", 3, 5, {1, 2, 3, 4, 5}),
  };
  add_weights(cases);
  return cases;
}

}  // namespace kd::test
