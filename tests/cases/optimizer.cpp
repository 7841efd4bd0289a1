// optimizer_update, lamb_norms.
#include "oracle/optimizer.h"

#include <cmath>
#include <map>
#include <optional>

#include "cases/case.h"
#include "kd/optimizer_ops.h"

namespace kd::test {
namespace {

// One whole update as training does it, with what it may have.
struct Update {
  std::string name;
  OptimizerAttrs attrs;
  int64_t lows = 0, highs = 0;
  DType low = DType::f16;         // of copies and gradients, where there are lows
  bool summed_gradients = false;  // f32 gradients of all, as gradient_accumulate leaves them
  bool lr_scale = false, guarded = false, counters = false;
  double step = 0, loss_scale = 0;     // 0: there is none
  bool exact = false;                  // few bits: f32 is exact, and copies must be equal
  std::optional<double> planted = {};  // in the low gradient, where there is one
  bool in_high = false;                // or rather in the high one
  std::vector<double> segments = {};

  int64_t count() const { return lows + highs; }
  bool mixed() const { return lows > 0; }
  bool needs_squares() const { return guarded || attrs.max_gradient_norm > 0; }
};

// Values of few bits, so that f32 computes exactly and 16-bit copies must be equal.
Fill coarse(double step) {
  return [step](Array& leaf, Random& random, std::span<const Array>) {
    whole_numbers(-64, 64)(leaf, random, {});
    for (double& element : leaf.data) element *= step;
  };
}
Fill with_planted(Fill fill, std::optional<double> planted) {
  return [=](Array& leaf, Random& random, std::span<const Array> earlier) {
    fill(leaf, random, earlier);
    if (planted) leaf.data.at(leaf.data.size() / 2) = *planted;
  };
}
Leaf typed(DType dtype, Leaf leaf) {
  leaf.desc.dtype = dtype;
  return leaf;
}

bool counts(const Update& of) {
  return !of.segments.empty() || of.attrs.kind >= OptimizerKind::adam;
}

std::vector<Leaf> leaves_of(const Update& of) {
  const Shape all{of.count()};
  const double scale = of.loss_scale > 0 ? of.loss_scale : 1;
  const Fill weights = of.exact ? coarse(1.0 / 16) : normal();
  const Fill gradients = of.exact ? coarse(scale / 32) : normal(scale);
  std::vector<Leaf> leaves{state(f32("w", all, weights))};
  if (has_first_moment(of.attrs.kind)) leaves.push_back(state(f32("first", all, weights)));
  if (has_second_moment(of.attrs.kind)) {
    leaves.push_back(state(f32("second", all, uniform(0.01, 2))));
  }
  const bool low_gradient = of.mixed() && !of.summed_gradients;
  if (of.mixed()) leaves.push_back(state(typed(of.low, f32("low", {of.lows}))));
  if (low_gradient) {
    leaves.push_back(
        typed(of.low, f32("low_gradient", {of.lows},
                          with_planted(gradients, of.in_high ? std::nullopt : of.planted))));
  }
  leaves.push_back(
      f32("high_gradient", {low_gradient ? of.highs : of.count()},
          with_planted(gradients, low_gradient && !of.in_high ? std::nullopt : of.planted)));
  if (of.attrs.l2_start > 0) leaves.push_back(f32("start", all));
  if (of.lr_scale) leaves.push_back(f32("lr_scale", all, listed({1, 0, 0.25, 2})));
  if (of.loss_scale > 0) leaves.push_back(f32("loss_scale", {1}, constant(of.loss_scale)));
  leaves.push_back(f32("lr", {1}, constant(of.exact ? 0.25 : 0.1)));
  if (counts(of)) {
    leaves.push_back(typed(DType::i64, f32("step", {2}, listed({12345678901.0, of.step}))));
  }
  if (of.counters) leaves.push_back(i32("counters", {2}, listed({3, 2})));
  if (!of.segments.empty()) {
    leaves.push_back(
        i32("segments", {static_cast<int64_t>(of.segments.size())}, listed(of.segments)));
  }
  return leaves;
}

// What a case has under a name: values of a graph, or arrays.
template <class T>
std::map<std::string, T> by_name(const Update& of, const std::vector<T>& in) {
  std::map<std::string, T> named;
  const std::vector<Leaf> leaves = leaves_of(of);
  for (size_t i = 0; i < leaves.size(); ++i) named[leaves[i].name] = in[i];
  return named;
}

OptimizerArena arena_of(Graph& graph, const Update& of, const std::vector<Value>& in) {
  std::map<std::string, Value> at = by_name(of, in);  // Value{} for what is not there
  OptimizerArena arena{.weights = at["w"],
                       .first = at["first"],
                       .second = at["second"],
                       .low_weights = at["low"],
                       .low_gradient = at["low_gradient"],
                       .high_gradient = at["high_gradient"],
                       .start = at["start"],
                       .lr_scale = at["lr_scale"],
                       .loss_scale = at["loss_scale"],
                       .lr = at["lr"],
                       .step = at["step"],
                       .counters = at["counters"],
                       .segments = at["segments"]};
  if (of.needs_squares()) {
    arena.squares = gradient_squares(graph, arena.low_gradient, arena.high_gradient);
  }
  return arena;
}

oracle::Optimizer options_of(const OptimizerAttrs& a) {
  return {std::string(name_of(a.kind)),
          a.momentum,
          a.nesterov,
          a.alpha,
          a.beta1,
          a.beta2,
          a.epsilon,
          a.weight_decay,
          a.l1,
          a.l2_start,
          a.decay_elements,
          a.max_gradient_norm};
}

oracle::OptimizerState state_of(std::map<std::string, Array>& at) {
  return {at["w"], at["first"], at["second"]};
}
oracle::OptimizerStep step_of(const Update& of, std::map<std::string, Array>& at) {
  oracle::OptimizerStep step;
  step.gradient = oracle::joined(at["low_gradient"], at["high_gradient"]);
  step.lr = at["lr"].at(0);
  if (of.loss_scale > 0) step.loss_scale = of.loss_scale;
  step.update = of.step + 1 - (of.counters ? at["counters"].at(1) : 0);
  if (of.needs_squares()) step.squares = oracle::sum_of_squares(step.gradient);
  step.start = at["start"];
  step.lr_scale = at["lr_scale"];
  for (const double offset : of.segments) step.segments.push_back(static_cast<int64_t>(offset));
  return step;
}

Arrays update_oracle(const Update& of, const Arrays& in) {
  std::map<std::string, Array> at = by_name(of, in);
  const oracle::OptimizerStep step = step_of(of, at);
  const oracle::OptimizerState made = oracle::update(state_of(at), step, options_of(of.attrs));
  Arrays results{made.w};
  if (has_first_moment(of.attrs.kind)) results.push_back(made.first);
  if (has_second_moment(of.attrs.kind)) results.push_back(made.second);
  if (!of.mixed()) return results;
  Array low = at["low"];
  for (int64_t i = 0; i < low.size() && std::isfinite(step.squares.value_or(0)); ++i) {
    low.at(i) = rounded(of.low, made.w.at(i));
  }
  results.push_back(low);
  return results;
}

Case update_case(const Update& of) {
  Case made;
  made.name = "optimizer_update_" + of.name;
  made.leaves = leaves_of(of);
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    OptimizerArena arena = arena_of(graph, of, in);
    if (arena.segments) arena.norms = lamb_norms(graph, arena, of.attrs);
    optimizer_update(graph, arena, of.attrs);
    return {};
  };
  made.oracle = [=](const Arrays& in) { return update_oracle(of, in); };
  made.tolerance.length = of.needs_squares() || !of.segments.empty() ? of.count() : 1;
  if (of.mixed() && !of.exact) {  // a copy may be rounded the other way
    made.tolerance.dtype = of.low;
    made.tolerance.roundings = 1;
  }
  if (of.exact) made.tolerance = {.a = 0, .b = 0};
  made.f32_only = true;
  return made;
}

// Partial sums may cover any parts: their sums are what counts.
Case norms_case(const Update& of) {
  Case made;
  made.name = "lamb_norms_" + of.name;
  made.leaves = leaves_of(of);
  for (Leaf& leaf : made.leaves) leaf.updated = false;
  const auto segments = static_cast<int64_t>(of.segments.size()) - 1;
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {sum_to(graph, lamb_norms(graph, arena_of(graph, of, in), of.attrs), {segments, 2, 1})};
  };
  made.oracle = [=](const Arrays& in) -> Arrays {
    std::map<std::string, Array> at = by_name(of, in);
    return {{{segments, 2, 1},
             oracle::lamb_norms(state_of(at), step_of(of, at), options_of(of.attrs))}};
  };
  made.tolerance.length = of.count();
  made.f32_only = true;
  return made;
}

void add_sgd(std::vector<Update>& all) {
  const auto add = [&](const std::string& name, int64_t n, const OptimizerAttrs& attrs) {
    all.push_back({.name = name, .attrs = attrs, .highs = n});
  };
  add("plain", 17, {.momentum = 0});
  add("momentum", 1000, {.momentum = 0.9});
  add("nesterov", 33, {.momentum = 0.9, .nesterov = true});
  add("decay_all", 100, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 100});
  add("decay_some", 101,
      {.momentum = 0.5, .nesterov = true, .weight_decay = 0.1, .decay_elements = 37});
  add("decay_none", 16, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 0});
  add("one_element", 1, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 1});
  add("blocks", 2051, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 2049});
}

// SGD with values of few bits, so that nothing is rounded but the copies.
void add_mixed_sgd(std::vector<Update>& all) {
  const auto add = [&](const std::string& name, DType low, int64_t lows, int64_t highs,
                       bool nesterov, double decay, int64_t decayed,
                       std::optional<double> planted = {}) {
    all.push_back({.name = "mixed_" + name,
                   .attrs = {.momentum = 0.5,
                             .nesterov = nesterov,
                             .weight_decay = decay,
                             .decay_elements = decayed},
                   .lows = lows,
                   .highs = highs,
                   .low = low,
                   .guarded = true,
                   .loss_scale = 256,
                   .exact = true,
                   .planted = planted});
  };
  add("f16", DType::f16, 1001, 37, false, 0.125, 1001);
  add("bf16", DType::bf16, 1001, 37, true, 0.125, 500);
  add("f32", DType::f32, 130, 5, true, 0.125, 135);
  add("f16_blocks", DType::f16, 2057, 1100, true, 0.125, 2060);
  add("f16_aligned", DType::f16, 2048, 1100, true, 0.125, 2060);
  add("f16_one", DType::f16, 1, 1, false, 0.125, 1);
  add("f16_three", DType::f16, 3, 1, false, 0, 0);
  add("f16_four", DType::f16, 4, 2, false, 0, 0);
  add("f16_five", DType::f16, 5, 3, false, 0, 0);
  add("low_infinite", DType::f16, 100, 9, false, 0.125, 50, INFINITY);
  add("low_nan", DType::bf16, 2057, 9, false, 0, 0, NAN);
  all.push_back(all.back());
  all.back().name = "mixed_high_infinite", all.back().planted = -INFINITY;
  all.back().in_high = true;
  all.push_back(all.back());
  all.back().name = "mixed_high_overflows", all.back().planted = 1e20;
  for (const DType low : {DType::f16, DType::bf16}) {
    all.push_back(all.back());
    all.back().name = "mixed_summed_" + std::string(name_of(low));
    all.back().low = low, all.back().planted = {}, all.back().summed_gradients = true;
  }
}

// What holds for every kind: f32 and 16 bits, regularisers, clipping, scales, a skipped step.
void add_every_kind(std::vector<Update>& all) {
  using Kind = OptimizerKind;
  for (const Kind kind :
       {Kind::sgd, Kind::adagrad, Kind::rmsprop, Kind::adam, Kind::adamw, Kind::lamb}) {
    const std::string name(name_of(kind));
    const OptimizerAttrs plain{.kind = kind, .epsilon = 1e-6};
    OptimizerAttrs full = plain;
    full.weight_decay = 0.1, full.l1 = 0.05, full.l2_start = 0.3, full.decay_elements = 1041;
    const bool lamb = kind == Kind::lamb;
    Update simple{.name = name, .attrs = plain, .highs = 301};
    if (lamb) simple.segments = {0, 64, 128, 300, 301};
    Update rich{.name = name + "_full",
                .attrs = full,
                .lows = 1028,
                .highs = 77,
                .low = kind == Kind::adagrad ? DType::bf16 : DType::f16,
                .lr_scale = true,
                .guarded = true,
                .counters = kind >= Kind::adam,
                .step = 7,
                .loss_scale = 64};
    if (lamb) rich.segments = {0, 1024, 1028, 1105};
    all.insert(all.end(), {simple, rich});
    rich.attrs.max_gradient_norm = 1.5, rich.name = name + "_clipped";
    rich.low = DType::f32;  // held to f32's tolerance
    all.push_back(rich);
    rich.attrs.max_gradient_norm = 1e6, rich.name = name + "_within_the_norm";
    rich.summed_gradients = true, rich.low = DType::bf16;
    all.push_back(rich);
    rich.planted = NAN, rich.name = name + "_skipped";
    all.push_back(rich);
  }
}

void add_adam(std::vector<Update>& all) {
  using Kind = OptimizerKind;
  for (const double step : {0.0, 1.0, 99.0, 5e9}) {
    all.push_back({.name = "adam_step_" + std::to_string(static_cast<int64_t>(step)),
                   .attrs = {.kind = Kind::adam},
                   .highs = 67,
                   .step = step});
  }
  all.push_back(
      {.name = "adam_betas_0", .attrs = {.kind = Kind::adam, .beta1 = 0, .beta2 = 0}, .highs = 9});
  all.push_back({.name = "adamw_decay_all",
                 .attrs = {.kind = Kind::adamw, .weight_decay = 0.5, .decay_elements = 130},
                 .highs = 130});
}

std::vector<Update> lambs() {
  const OptimizerAttrs attrs{
      .kind = OptimizerKind::lamb, .epsilon = 1e-6, .weight_decay = 0.01, .decay_elements = 900};
  Update mixed{.name = "mixed",
               .attrs = attrs,
               .lows = 896,
               .highs = 205,
               .low = DType::bf16,
               .loss_scale = 16,
               .segments = {0, 640, 704, 896, 960, 1101}};
  Update across = mixed;  // a tensor whose gradients are of both types
  across.name = "across", across.segments = {0, 640, 1000, 1101};
  Update large{
      .name = "large", .attrs = attrs, .highs = 70000, .segments = {0, 69888, 69952, 69952, 70000}};
  return {mixed, across, large};
}

}  // namespace

std::vector<Case> optimizer_cases() {
  std::vector<Update> updates;
  add_sgd(updates);
  add_mixed_sgd(updates);
  add_every_kind(updates);
  add_adam(updates);
  std::vector<Case> cases;
  for (const Update& of : updates) cases.push_back(update_case(of));
  for (const Update& of : lambs()) {
    cases.push_back(update_case(of));
    cases.back().name = "optimizer_update_lamb_" + of.name;
    cases.push_back(norms_case(of));
  }
  return cases;
}

}  // namespace kd::test
