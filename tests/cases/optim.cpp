// sgd_update, gradient_squares, sgd_update_mixed, loss_scale_update, advance_step.
#include "oracle/optim.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "cases/case.h"
#include "kd/ops.h"

namespace kd::test {
namespace {

Case sgd_case(const std::string& name, int64_t n, const SgdAttrs& attrs) {
  Case made;
  made.name = "sgd_update_" + name;
  made.leaves = {state(f32("w", {n})), f32("g", {n}), state(f32("v", {n})),
                 f32("lr", {1}, constant(0.1))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    sgd_update(graph, in[0], in[1], in[2], in[3], attrs);
    return {};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    const oracle::SgdState made_state = oracle::sgd(
        {in[0], in[2]}, in[1],
        {in[3].at(0), attrs.momentum, attrs.weight_decay, attrs.nesterov, attrs.decay_elements});
    return {made_state.w, made_state.velocity};
  };
  return made;
}

// Values of few bits, so that f32 computes exactly and 16-bit copies must be equal.
Fill coarse(double step) {
  return [step](Array& leaf, Random& random, std::span<const Array>) {
    whole_numbers(-64, 64)(leaf, random, {});
    for (double& element : leaf.data) element *= step;
  };
}

struct Mixed {
  std::string name;
  DType low = DType::f16;
  int64_t lows = 0, highs = 0;
  SgdAttrs attrs;
  std::optional<double> planted = {};  // a gradient that is not finite
  bool in_low = true;
};

Leaf typed(DType dtype, Leaf leaf) {
  leaf.desc.dtype = dtype;
  return leaf;
}

Fill with_planted(Fill fill, std::optional<double> planted) {
  return [=](Array& leaf, Random& random, std::span<const Array> earlier) {
    fill(leaf, random, earlier);
    if (planted) leaf.data.at(leaf.data.size() / 2) = *planted;
  };
}

oracle::Sgd options_of(const SgdAttrs& attrs, double lr) {
  return {lr, attrs.momentum, attrs.weight_decay, attrs.nesterov, attrs.decay_elements};
}

Arrays mixed_oracle(const Mixed& of, const LossScaleAttrs& scaling, const Arrays& in) {
  const double squares = oracle::sum_of_squares(in[3], in[4]);
  const oracle::SgdState made = oracle::sgd_mixed({in[0], in[1]}, in[3], in[4], in[6].at(0),
                                                  options_of(of.attrs, in[5].at(0)));
  Array low = in[2];
  for (int64_t i = 0; i < low.size() && std::isfinite(squares); ++i) {
    low.at(i) = rounded(of.low, made.w.at(i));
  }
  const oracle::LossScaleState scale =
      oracle::loss_scale({in[6], in[7]}, squares,
                         {scaling.growth, scaling.backoff, static_cast<double>(scaling.interval),
                          scaling.least, scaling.most});
  return {made.w, made.velocity, low, scale.scale, scale.counters};
}

// A whole step as training does it: squares, update, loss scale.
Case mixed_case(const Mixed& of) {
  constexpr double kScale = 256;
  const int64_t count = of.lows + of.highs;
  Case made;
  made.name = "sgd_update_mixed_" + of.name;
  made.leaves = {
      state(f32("w", {count}, coarse(1.0 / 16))),
      state(f32("v", {count}, coarse(1.0 / 16))),
      state(typed(of.low, f32("low", {of.lows}))),
      typed(of.low, f32("low_gradient", {of.lows},
                        with_planted(coarse(kScale / 32), of.in_low ? of.planted : std::nullopt))),
      f32("high_gradient", {of.highs},
          with_planted(coarse(kScale / 32), of.in_low ? std::nullopt : of.planted)),
      f32("lr", {1}, constant(0.25)),
      state(f32("scale", {1}, constant(kScale))),
      state(i32("counters", {2}, listed({3, 7})))};
  const LossScaleAttrs scaling{.interval = 5};
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const Value squares = gradient_squares(graph, in[3], in[4]);
    sgd_update_mixed(graph, {in[0], in[1], in[2], in[3], in[4]}, squares, in[5], in[6], of.attrs);
    loss_scale_update(graph, squares, in[6], in[7], scaling);
    return {};
  };
  made.oracle = [=](const Arrays& in) { return mixed_oracle(of, scaling, in); };
  made.tolerance = {.a = 0, .b = 0};
  made.f32_only = true;
  return made;
}

void add_mixed(std::vector<Case>& cases) {
  const SgdAttrs plain{.momentum = 0.5};
  const auto rule = [](bool nesterov, int64_t decayed) {
    return SgdAttrs{
        .momentum = 0.5, .weight_decay = 0.125, .nesterov = nesterov, .decay_elements = decayed};
  };
  for (const Mixed& of : {
           Mixed{"f16", DType::f16, 1001, 37, rule(false, 1001)},
           Mixed{"bf16", DType::bf16, 1001, 37, rule(true, 500)},
           Mixed{"f32", DType::f32, 130, 5, rule(true, 135)},
           Mixed{"f16_blocks", DType::f16, 2057, 1100, rule(true, 2060)},
           Mixed{"f16_one", DType::f16, 1, 1, rule(false, 1)},
           Mixed{"f16_three", DType::f16, 3, 1, plain},
           Mixed{"f16_four", DType::f16, 4, 2, plain},
           Mixed{"f16_five", DType::f16, 5, 3, plain},
           Mixed{"low_infinite", DType::f16, 100, 9, rule(false, 50), INFINITY},
           Mixed{"low_nan", DType::bf16, 2057, 9, plain, NAN},
           Mixed{"high_infinite", DType::f16, 10, 700, plain, -INFINITY, false},
           Mixed{"high_overflows", DType::f16, 10, 7, plain, 1e20, false},
       }) {
    cases.push_back(mixed_case(of));
  }
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
    return {Array::scalar(oracle::sum_of_squares(in[0], in[1]))};
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
  made.leaves[0].fill = with_planted(constant(1), of.square);
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

}  // namespace

std::vector<Case> optim_cases() {
  std::vector<Case> cases{
      sgd_case("plain", 17, {.momentum = 0}),
      sgd_case("momentum", 1000, {.momentum = 0.9}),
      sgd_case("nesterov", 33, {.momentum = 0.9, .nesterov = true}),
      sgd_case("decay_all", 100, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 100}),
      sgd_case("decay_some", 101,
               {.momentum = 0.5, .weight_decay = 0.1, .nesterov = true, .decay_elements = 37}),
      sgd_case("decay_none", 16, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 0}),
      sgd_case("one_element", 1, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 1}),
      sgd_case("blocks", 2051, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 2049}),
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
  add_mixed(cases);
  return cases;
}

}  // namespace kd::test
