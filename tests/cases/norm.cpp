// batch_norm, batch_norm_train, batch_norm_relu_train, and the masks of what the ReLU let through.
#include <cmath>
#include <limits>

#include "cases/norm_common.h"
#include "oracle/mask.h"
#include "oracle/pointwise.h"

namespace kd::test {

Fill mean_of(size_t x) {
  return [x](Array& leaf, Random&, std::span<const Array> earlier) {
    leaf = oracle::batch_statistics(earlier[x]).mean;
  };
}
Fill variance_of(size_t x) {
  return [x](Array& leaf, Random&, std::span<const Array> earlier) {
    leaf = oracle::batch_statistics(earlier[x]).var;
  };
}
Fill rectified() {
  return [](Array& leaf, Random& random, std::span<const Array>) {
    normal()(leaf, random, {});
    leaf = oracle::activation(leaf, "relu");
  };
}

std::vector<Leaf> norm_leaves(const NormSizes& sizes, bool training) {
  const Shape c{sizes.x[3]};
  Leaf gamma = f32("gamma", c, uniform(0.5, 2)), beta = f32("beta", c);
  Leaf mean = f32("running_mean", c), var = f32("running_var", c, uniform(0.2, 3));
  if (training) {
    gamma = trained(gamma), beta = trained(beta), mean = state(mean), var = state(var);
  }
  return {trained(f32("x", sizes.x, sizes.fill)), gamma, beta, mean, var};
}

BatchNormWeights norm_weights(const std::vector<Value>& leaves) {
  return {leaves[1], leaves[2], leaves[3], leaves[4]};
}

namespace {

Case inference(const NormSizes& sizes) {
  const BatchNormAttrs attrs = sizes.attrs;
  Case made;
  made.name = "batch_norm_" + sizes.name;
  made.leaves = norm_leaves(sizes, false);
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {batch_norm(graph, in[0], norm_weights(in), attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::batch_norm(in[0], {in[1], in[2], in[3], in[4], attrs.eps})};
  };
  made.blocked = sizes.blocked();
  return made;
}

enum class After : uint8_t { nothing, relu, masked_relu };

// Outputs (y, mean, var (, mask)) and the new running statistics.
Case training(const NormSizes& sizes, After after) {
  const BatchNormAttrs attrs = sizes.attrs;
  const bool residual = after != After::nothing && sizes.residual;
  Case made;
  constexpr const char* kNames[] = {"batch_norm_train_", "batch_norm_relu_train_",
                                    "batch_norm_relu_mask_train_"};
  made.name = kNames[static_cast<size_t>(after)] + sizes.name;
  made.leaves = norm_leaves(sizes, true);
  if (residual) made.leaves.push_back(trained(f32("residual", sizes.x)));
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const Value added = residual ? in[5] : Value{};
    if (after == After::masked_relu) {
      const auto out = batch_norm_relu_mask_train(graph, in[0], norm_weights(in), added, attrs);
      return {out.y, out.mean, out.var, out.mask};
    }
    const BatchNormTrained out =
        after == After::relu ? batch_norm_relu_train(graph, in[0], norm_weights(in), added, attrs)
                             : batch_norm_train(graph, in[0], norm_weights(in), attrs);
    return {out.y, out.mean, out.var};
  };
  made.oracle = [=, rows = sizes.rows()](const Arrays& in) -> Arrays {
    const auto [mean, var] = oracle::batch_statistics(in[0]);
    Array y = oracle::batch_norm(in[0], {in[1], in[2], mean, var, attrs.eps});
    if (residual) y = oracle::add(y, in[5]);
    if (after != After::nothing) y = oracle::activation(y, "relu");
    Arrays results{y, mean, var};
    if (after == After::masked_relu) results.push_back(oracle::sign_mask(y));
    results.push_back(oracle::running(in[3], mean, attrs.momentum));
    results.push_back(oracle::running(in[4], oracle::unbiased(var, rows), attrs.momentum));
    return results;
  };
  made.tolerance.a = 16;  // the rounding of mean and variance reaches every element
  made.tolerance.length = sizes.rows();
  made.blocked = sizes.blocked();
  return made;
}

// Where the gradient of x is the small difference of large numbers, or 0.
Case without_gradient(Case made) {
  made.leaves[0].differentiable = made.leaves[1].differentiable = false;
  return made;
}

Case sign_case(const std::string& name, Shape shape, Fill fill) {
  Case made;
  made.name = "sign_mask_" + name;
  made.leaves = {f32("y", shape, std::move(fill))};
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {sign_mask(graph, in[0])};
  };
  made.oracle = [](const Arrays& in) -> Arrays { return {oracle::sign_mask(in[0])}; };
  made.tolerance = {.a = 0, .b = 0};
  return made;
}

Case apply_case(const std::string& name, Shape shape) {
  Case made;
  made.name = "apply_mask_" + name;
  made.leaves = {trained(f32("x", shape)),
                 Leaf{"mask", {DType::u8, {(shape.elements() + 7) / 8}}, whole_numbers(0, 255)}};
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {apply_mask(graph, in[0], in[1])};
  };
  made.oracle = [](const Arrays& in) -> Arrays { return {oracle::apply_mask(in[0], in[1])}; };
  made.tolerance = {.a = 0, .b = 0};
  return made;
}

void add_mask_cases(std::vector<Case>& cases) {
  for (const int64_t columns : {1, 7, 8, 9, 16, 65, 1003}) {
    const std::string name = std::to_string(columns);
    cases.push_back(sign_case(name, {1, columns}, whole_numbers(-1, 1)));
    cases.push_back(apply_case(name, {1, columns}));
  }
  cases.push_back(sign_case("picture", {2, 3, 5, 16}, normal()));
  cases.push_back(apply_case("picture", {2, 3, 5, 16}));
  const double inf = std::numeric_limits<double>::infinity();
  cases.push_back(sign_case("specials", {1, 21}, listed({1, std::nan(""), inf, 0, -inf, -0.0})));
}

}  // namespace

std::vector<NormSizes> norm_sizes() {
  return {
      {"c16", {2, 3, 5, 16}, normal(2, 0.5), true},
      {"c24", {1, 5, 3, 24}},
      {"c10", {3, 3, 3, 10}, normal(2, 0.5), true},
      {"c3_batch1", {1, 7, 9, 3}},
      {"one_channel", {2, 3, 3, 1}},
      {"few_rows", {3, 1, 1, 16}},
      {"outliers", {4, 3, 3, 16}, outliers()},
      {"c7", {1, 11, 3, 7}, normal(2, 0.5), true},
      {"c64", {2, 3, 5, 64}, normal(2, 0.5), true},
      {"c257", {1, 3, 2, 257}, normal(2, 0.5), true},
      {"c24_rows300", {3, 10, 10, 24}},
      {"c8_rows1088", {4, 16, 17, 8}, normal(2, 0.5), true},
      {"c1_rows1025", {1, 25, 41, 1}, normal(2, 0.5), true},
      {"attrs", {2, 4, 3, 8}, normal(0.1), true, {.eps = 1e-3, .momentum = 0.03}},
  };
}

std::vector<Case> norm_cases() {
  std::vector<Case> cases;
  for (const NormSizes& sizes : norm_sizes()) {
    cases.push_back(inference(sizes));
    for (const After after : {After::nothing, After::relu, After::masked_relu}) {
      cases.push_back(training(sizes, after));
    }
  }
  // A mean far from zero: sums of squares would lose the variance.
  cases.push_back(
      without_gradient(training({"offset", {4, 5, 5, 10}, normal(1, 100)}, After::nothing)));
  cases.back().tolerance.a = 256;  // eps mean / deviation = 100 eps is lost by rounding x itself
  cases.push_back(
      without_gradient(training({"offset_c8", {4, 5, 5, 8}, normal(1, 100)}, After::nothing)));
  cases.back().tolerance.a = 256;
  // Variance 0: y = beta, running statistics stay finite.
  cases.push_back(
      without_gradient(training({"constant", {2, 4, 4, 16}, constant(3)}, After::nothing)));
  for (const int64_t rows : {1, 2}) {
    for (const int64_t channels : {3, 8}) {
      const NormSizes few{"rows" + std::to_string(rows) + "_c" + std::to_string(channels),
                          {rows, 1, 1, channels}};
      cases.push_back(without_gradient(training(few, After::nothing)));
      cases.push_back(without_gradient(training(few, After::masked_relu)));
    }
  }
  add_mask_cases(cases);
  return cases;
}

}  // namespace kd::test
