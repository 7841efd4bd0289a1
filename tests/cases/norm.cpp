// batch_norm, batch_norm_train, batch_norm_relu_train.
#include "cases/norm_common.h"
#include "oracle/pointwise.h"

namespace kd::test {
namespace {

std::vector<Leaf> leaves_of(const NormSizes& sizes, bool training) {
  const Shape c{sizes.x[3]};
  Leaf gamma = f32("gamma", c, uniform(0.5, 2)), beta = f32("beta", c);
  Leaf mean = f32("running_mean", c), var = f32("running_var", c, uniform(0.2, 3));
  if (training) {
    gamma = trained(gamma), beta = trained(beta), mean = state(mean), var = state(var);
  }
  return {trained(f32("x", sizes.x, sizes.fill)), gamma, beta, mean, var};
}

BatchNormWeights weights(const std::vector<Value>& in) { return {in[1], in[2], in[3], in[4]}; }

Case inference(const NormSizes& sizes) {
  const BatchNormAttrs attrs = sizes.attrs;
  Case made;
  made.name = "batch_norm_" + sizes.name;
  made.leaves = leaves_of(sizes, false);
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {batch_norm(graph, in[0], weights(in), attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::batch_norm(in[0], {in[1], in[2], in[3], in[4], attrs.eps})};
  };
  made.blocked = sizes.blocked();
  return made;
}

// Outputs (y, mean, var) and the new running statistics.
Case training(const NormSizes& sizes, bool relu_after) {
  const BatchNormAttrs attrs = sizes.attrs;
  const bool residual = relu_after && sizes.residual;
  Case made;
  made.name = std::string(relu_after ? "batch_norm_relu_train_" : "batch_norm_train_") + sizes.name;
  made.leaves = leaves_of(sizes, true);
  if (residual) made.leaves.push_back(trained(f32("residual", sizes.x)));
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const Value added = residual ? in[5] : Value{};
    const BatchNormTrained out =
        relu_after ? batch_norm_relu_train(graph, in[0], weights(in), added, attrs)
                   : batch_norm_train(graph, in[0], weights(in), attrs);
    return {out.y, out.mean, out.var};
  };
  made.oracle = [=, rows = sizes.rows()](const Arrays& in) -> Arrays {
    const auto [mean, var] = oracle::batch_statistics(in[0]);
    Array y = oracle::batch_norm(in[0], {in[1], in[2], mean, var, attrs.eps});
    if (residual) y = oracle::add(y, in[5]);
    if (relu_after) y = oracle::activation(y, "relu");
    return {y, mean, var, oracle::running(in[3], mean, attrs.momentum),
            oracle::running(in[4], oracle::unbiased(var, rows), attrs.momentum)};
  };
  made.tolerance.a = 16;  // the rounding of mean and variance reaches every element
  made.tolerance.length = sizes.rows();
  made.blocked = sizes.blocked();
  return made;
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
      {"attrs", {2, 4, 3, 8}, normal(0.1), true, {.eps = 1e-3, .momentum = 0.03}},
  };
}

std::vector<Case> norm_cases() {
  std::vector<Case> cases;
  for (const NormSizes& sizes : norm_sizes()) {
    cases.push_back(inference(sizes));
    cases.push_back(training(sizes, false));
    cases.push_back(training(sizes, true));
  }
  // A mean far from zero: sums of squares would lose the variance.
  cases.push_back(training({"offset", {4, 5, 5, 10}, normal(1, 100)}, false));
  cases.back().leaves[0].differentiable = false;
  cases.back().leaves[1].differentiable = false;
  cases.back().tolerance.a = 256;  // eps mean / deviation = 100 eps is lost by rounding x itself
  // Variance 0: y = beta, running statistics stay finite.
  cases.push_back(training({"constant", {2, 4, 4, 16}, constant(3)}, false));
  cases.back().leaves[0].differentiable = false;
  return cases;
}

}  // namespace kd::test
