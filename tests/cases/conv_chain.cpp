// The batch-norm chain: conv2d_stats, scale_bias_relu_conv2d_stats, scale_bias_relu_conv2d_wgrad,
// conv2d_dgrad_relu_norm, and what stands between them: norm_finalize, scale_bias_relu,
// norm_input_grad.
#include "oracle/conv_chain.h"

#include <cmath>
#include <limits>

#include "cases/conv_common.h"
#include "kd/conv_chain.h"
#include "oracle/norm.h"
#include "oracle/pointwise.h"

namespace kd::test {
namespace {

std::vector<ConvSizes> chain_sizes() {
  const std::array<int, 4> same{1, 1, 1, 1};
  return {
      {"1x1", {2, 5, 7, 16}, {24, 1, 1, 16}, {}},
      {"1x1_stride2", {1, 7, 5, 8}, {16, 1, 1, 8}, {.stride = {2, 2}}},
      {"3x3", {2, 6, 5, 16}, {16, 3, 3, 16}, {.pad = same}},
      {"3x3_odd", {1, 7, 9, 3}, {5, 3, 3, 3}, {.pad = same}},
      {"3x3_stride2", {2, 9, 7, 10}, {16, 3, 3, 10}, {.stride = {2, 2}, .pad = same}},
      {"one_pixel", {3, 1, 1, 10}, {7, 1, 1, 10}, {}},
      {"groups", {2, 5, 6, 12}, {9, 3, 3, 4}, {.pad = same, .groups = 3}},
      {"depthwise", {2, 7, 6, 10}, {10, 3, 3, 1}, {.pad = same, .groups = 10}},
      {"uneven_pad", {1, 5, 5, 4}, {3, 3, 5, 4}, {.pad = {2, 0, 1, 3}}},
  };
}

// A scale of either sign, and a bias that keeps about half of the values above 0. Where padding was
// normalised too it would show: max(bias, 0) is not 0.
Leaf scale_of(const Shape& x, std::string name = "scale") {
  return f32(std::move(name), {x[3]}, uniform(-1.5, 1.5));
}
Leaf bias_of(const Shape& x, std::string name = "bias") {
  return f32(std::move(name), {x[3]}, uniform(-0.5, 1));
}
Array activated(const Array& x, const Array& scale, const Array& bias) {
  return oracle::activation(oracle::scale_bias(x, scale, bias), "relu");
}

Arrays with_sums(const Array& y) {
  const oracle::ChannelSums sums = oracle::channel_sums(y);
  return {y, sums.sum, sums.squares};
}

void set_tolerance(Case& made, int64_t products, int64_t rows) {
  made.tolerance = {.a = 8, .b = 2, .length = products + rows, .roundings = 4};
}

Case stats_case(const ConvSizes& sizes) {
  const Conv2dAttrs attrs = sizes.attrs;
  Case made;
  made.name = "conv2d_stats_" + sizes.name;
  made.leaves = {f32("x", sizes.x), f32("w", sizes.w)};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const ConvStats out = conv2d_stats(graph, in[0], in[1], attrs);
    return {out.y, out.sum, out.sum_of_squares};
  };
  made.oracle = [attrs](const Arrays& in) {
    return with_sums(oracle::conv2d(in[0], in[1], to_oracle(attrs)));
  };
  const Shape y = output_shape(sizes);
  set_tolerance(made, reduction(sizes), y[0] * y[1] * y[2]);
  made.blocked = sizes.w[0] == 16 || sizes.w[0] == 24;
  return made;
}

Case prologue_stats_case(const ConvSizes& sizes) {
  const Conv2dAttrs attrs = sizes.attrs;
  Case made;
  made.name = "scale_bias_relu_conv2d_stats_" + sizes.name;
  made.leaves = {f32("x", sizes.x), scale_of(sizes.x), bias_of(sizes.x), f32("w", sizes.w)};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const ConvStats out = scale_bias_relu_conv2d_stats(graph, {in[0], in[1], in[2]}, in[3], attrs);
    return {out.y, out.sum, out.sum_of_squares};
  };
  made.oracle = [attrs](const Arrays& in) {
    return with_sums(oracle::conv2d(activated(in[0], in[1], in[2]), in[3], to_oracle(attrs)));
  };
  const Shape y = output_shape(sizes);
  set_tolerance(made, reduction(sizes), y[0] * y[1] * y[2]);
  made.blocked = sizes.w[0] == 16 || sizes.w[0] == 24;
  return made;
}

Case prologue_wgrad_case(const ConvSizes& sizes) {
  const Conv2dGradAttrs attrs{sizes.attrs,
                              {static_cast<int>(sizes.w[1]), static_cast<int>(sizes.w[2])}};
  const Shape y = output_shape(sizes);
  Case made;
  made.name = "scale_bias_relu_conv2d_wgrad_" + sizes.name;
  made.leaves = {f32("x", sizes.x), scale_of(sizes.x), bias_of(sizes.x), f32("dy", y)};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {scale_bias_relu_conv2d_wgrad(graph, {in[0], in[1], in[2]}, in[3], attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::conv2d_wgrad(activated(in[0], in[1], in[2]), in[3], to_oracle(attrs.conv),
                                 attrs.size[0], attrs.size[1])};
  };
  set_tolerance(made, 1, y[0] * y[1] * y[2]);
  return made;
}

Case dgrad_norm_case(const ConvSizes& sizes) {
  const Conv2dDgradNormAttrs attrs{
      sizes.attrs, {static_cast<int>(sizes.x[1]), static_cast<int>(sizes.x[2])}, 1e-3};
  const Shape c{sizes.x[3]};
  Case made;
  made.name = "conv2d_dgrad_relu_norm_" + sizes.name;
  made.leaves = {f32("dy", output_shape(sizes)),
                 f32("w", sizes.w),
                 f32("x", sizes.x, normal(2, 0.5)),
                 scale_of(sizes.x),
                 bias_of(sizes.x),
                 f32("mean", c, uniform(0, 1)),
                 f32("var", c, uniform(0.5, 4))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const ReluNormGrad out =
        conv2d_dgrad_relu_norm(graph, in[0], in[1], {in[2], in[3], in[4]}, in[5], in[6], attrs);
    return {out.dz, out.dgamma, out.dbeta};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    const Array d =
        oracle::conv2d_dgrad(in[0], in[1], to_oracle(attrs.conv), attrs.size[0], attrs.size[1]);
    const Array dz = oracle::where_positive(d, oracle::scale_bias(in[2], in[3], in[4]));
    const oracle::NormSums sums = oracle::norm_sums(dz, in[2], in[5], in[6], attrs.eps);
    return {dz, sums.dgamma, sums.dbeta};
  };
  set_tolerance(made, sizes.w[0] / sizes.attrs.groups * sizes.w[1] * sizes.w[2],
                sizes.x[0] * sizes.x[1] * sizes.x[2]);
  made.blocked = sizes.x[3] == 16;
  return made;
}

struct FinalizeSizes {
  std::string name;
  int64_t channels, count;
  double mean = 2, least_var = 0.2, most_var = 3;  // |mean| at most
  double eps = 1e-5, momentum = 0.1;
};

// sum = count mean, sum_of_squares = count (mean^2 + var): a negative variance is what rounding
// makes of none.
Case finalize_case(const FinalizeSizes& sizes) {
  const NormFinalizeAttrs attrs{sizes.eps, sizes.momentum, sizes.count};
  const auto n = static_cast<double>(sizes.count);
  const Fill squares = [=](Array& leaf, Random& random, std::span<const Array> earlier) {
    uniform(sizes.least_var, sizes.most_var)(leaf, random, {});
    for (int64_t k = 0; k < leaf.size(); ++k) {
      const double mean = earlier[0].at(k) / n;
      leaf.at(k) = n * (leaf.at(k) + mean * mean);
    }
  };
  const Shape c{sizes.channels};
  Case made;
  made.name = "norm_finalize_" + sizes.name;
  made.leaves = {f32("sum", c, uniform(sizes.mean * n / 2, sizes.mean * n)),
                 f32("sum_of_squares", c, squares),
                 f32("gamma", c, uniform(-2, 2)),
                 f32("beta", c),
                 state(f32("running_mean", c)),
                 state(f32("running_var", c, uniform(0.2, 3)))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const NormFinalized out =
        norm_finalize(graph, in[0], in[1], {in[2], in[3], in[4], in[5]}, attrs);
    return {out.mean, out.var, out.scale, out.bias};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    const oracle::Finalized out =
        oracle::norm_finalize({in[0], in[1]}, in[2], in[3], attrs.eps, attrs.count);
    return {out.mean,
            out.var,
            out.scale,
            out.bias,
            oracle::running(in[4], out.mean, attrs.momentum),
            oracle::running(in[5], oracle::unbiased(out.var, attrs.count), attrs.momentum)};
  };
  made.f32_only = true;  // so are its vectors
  return made;
}

enum class Residual : uint8_t { none, plain, scaled };

Case scale_bias_relu_case(const std::string& name, const Shape& x, Residual residual,
                          Fill fill = normal()) {
  Case made;
  made.name = "scale_bias_relu_" + name;
  made.leaves = {f32("x", x, std::move(fill)), scale_of(x), bias_of(x)};
  if (residual != Residual::none) made.leaves.push_back(f32("residual", x));
  if (residual == Residual::scaled) {
    made.leaves.push_back(scale_of(x, "residual_scale"));
    made.leaves.push_back(bias_of(x, "residual_bias"));
  }
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    Scaled added;
    if (in.size() > 3) added.x = in[3];
    if (in.size() > 4) added = {in[3], in[4], in[5]};
    return {scale_bias_relu(graph, {in[0], in[1], in[2]}, added)};
  };
  made.oracle = [](const Arrays& in) -> Arrays {
    Array y = oracle::scale_bias(in[0], in[1], in[2]);
    if (in.size() == 4) y = oracle::add(y, in[3]);
    if (in.size() == 6) y = oracle::add(y, oracle::scale_bias(in[3], in[4], in[5]));
    return {oracle::activation(y, "relu")};
  };
  made.blocked = x[3] == 16 || x[3] == 24;
  return made;
}

Case input_grad_case(const std::string& name, const Shape& x) {
  const NormInputGradAttrs attrs{1e-3};
  const Shape c{x[3]};
  const auto rows = static_cast<double>(x[0] * x[1] * x[2]);
  Case made;
  made.name = "norm_input_grad_" + name;
  // Gradients as large as the sums of `rows` of them: every term of the formula counts.
  made.leaves = {f32("dz", x),
                 f32("x", x, normal(2, 0.5)),
                 f32("gamma", c, uniform(-2, 2)),
                 f32("mean", c, uniform(0, 1)),
                 f32("var", c, uniform(0.5, 4)),
                 f32("dgamma", c, normal(rows)),
                 f32("dbeta", c, normal(rows))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {norm_input_grad(graph, {in[0], in[5], in[6]}, in[1], in[2], in[3], in[4], attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::norm_input_grad(in[0], in[1], in[2], in[3], in[4], {in[5], in[6]}, attrs.eps)};
  };
  made.tolerance.a = 16;
  made.blocked = x[3] == 16 || x[3] == 24;
  return made;
}

struct NamedShape {
  std::string name;
  Shape x;
};
std::vector<NamedShape> pictures() {
  return {{"c16", {2, 3, 5, 16}}, {"c24", {1, 5, 3, 24}},        {"c10", {3, 3, 3, 10}},
          {"c3", {1, 7, 9, 3}},   {"one_channel", {2, 3, 3, 1}}, {"c8_one_pixel", {1, 1, 1, 8}},
          {"c4", {2, 5, 5, 4}},   {"c520", {1, 3, 2, 520}},      {"many_rows", {3, 17, 23, 8}}};
}

}  // namespace

std::vector<Case> conv_chain_cases() {
  std::vector<Case> cases;
  for (const ConvSizes& sizes : chain_sizes()) {
    cases.push_back(stats_case(sizes));
    cases.push_back(prologue_stats_case(sizes));
    cases.push_back(prologue_wgrad_case(sizes));
    cases.push_back(dgrad_norm_case(sizes));
  }
  for (const FinalizeSizes& sizes : {FinalizeSizes{"c16", 16, 300},
                                     {"c1", 1, 7},
                                     {"c257", 257, 50},
                                     {"one_value", 10, 1, 2, 0, 0},
                                     {"offset", 20, 4096, 100},
                                     {"clamped", 12, 1000, 30, -1e-3, -1e-4},
                                     {"attrs", 8, 40, 1, 0.1, 2, 1e-2, 0.03}}) {
    cases.push_back(finalize_case(sizes));
  }
  for (const auto& [name, x] : pictures()) {
    cases.push_back(scale_bias_relu_case(name, x, Residual::none));
    cases.push_back(scale_bias_relu_case(name + "_residual", x, Residual::plain));
    cases.push_back(scale_bias_relu_case(name + "_scaled_residual", x, Residual::scaled));
    cases.push_back(input_grad_case(name, x));
  }
  const double inf = std::numeric_limits<double>::infinity();
  cases.push_back(scale_bias_relu_case("not_finite", {2, 2, 3, 8}, Residual::none,
                                       listed({1, inf, -2, -inf, std::nan(""), 3, 0})));
  return cases;
}

}  // namespace kd::test
