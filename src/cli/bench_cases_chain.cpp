// The batch-norm chain around the 3x3 convolutions of ResNet-18.
#include <fmt/format.h>

#include "cli/bench_cases.h"
#include "kd/conv_chain.h"

namespace kd::cli {
namespace {

using Values = std::vector<Value>;

struct Layer {
  DType dtype;
  int64_t batch, size, channels;
  Conv2dAttrs conv() const { return {{1, 1}, {1, 1}, {1, 1, 1, 1}, 1}; }
  TensorDesc x() const { return {dtype, {batch, size, size, channels}}; }
  TensorDesc w() const { return {dtype, {channels, 3, 3, channels}}; }
  Value vector(Graph& graph, const std::string& name, Role role = Role::input) const {
    return graph.leaf(role, name, {DType::f32, {channels}});
  }
  Scaled scaled(Graph& graph, const std::string& name) const {
    return {graph.input(name, x()), vector(graph, name + "_scale"), vector(graph, name + "_bias")};
  }
};

Values stats(Graph& g, const Layer& l) {
  const ConvStats made = conv2d_stats(g, g.input("x", l.x()), g.input("w", l.w()), l.conv());
  return {made.y, made.sum, made.sum_of_squares};
}
Values finalize(Graph& g, const Layer& l) {
  const BatchNormWeights weights{l.vector(g, "gamma"), l.vector(g, "beta"),
                                 l.vector(g, "running_mean", Role::state),
                                 l.vector(g, "running_var", Role::state)};
  const NormFinalizeAttrs attrs{1e-5, 0.1, l.batch * l.size * l.size};
  const auto made =
      norm_finalize(g, l.vector(g, "sum"), l.vector(g, "sum_of_squares"), weights, attrs);
  return {made.mean, made.var, made.scale, made.bias};
}
Values activate(Graph& g, const Layer& l) { return {scale_bias_relu(g, l.scaled(g, "x"))}; }
Values activate_sum(Graph& g, const Layer& l) {
  return {scale_bias_relu(g, l.scaled(g, "x"), {g.input("residual", l.x()), {}, {}})};
}
Values prologue(Graph& g, const Layer& l) {
  const auto made =
      scale_bias_relu_conv2d_stats(g, l.scaled(g, "x"), g.input("w", l.w()), l.conv());
  return {made.y, made.sum, made.sum_of_squares};
}
Values prologue_wgrad(Graph& g, const Layer& l) {
  return {
      scale_bias_relu_conv2d_wgrad(g, l.scaled(g, "x"), g.input("dy", l.x()), {l.conv(), {3, 3}})};
}
Values dgrad_norm(Graph& g, const Layer& l) {
  const int size = static_cast<int>(l.size);
  const auto made = conv2d_dgrad_relu_norm(g, g.input("dy", l.x()), g.input("w", l.w()),
                                           l.scaled(g, "x"), l.vector(g, "mean"),
                                           l.vector(g, "var"), {l.conv(), {size, size}, 1e-5});
  return {made.dz, made.dgamma, made.dbeta};
}
Values input_grad(Graph& g, const Layer& l) {
  const ReluNormGrad grad{g.input("dz", l.x()), l.vector(g, "dgamma"), l.vector(g, "dbeta")};
  return {norm_input_grad(g, grad, g.input("x", l.x()), l.vector(g, "gamma"), l.vector(g, "mean"),
                          l.vector(g, "var"), {})};
}

}  // namespace

std::vector<KernelCase> chain_kernels(const CaseSizes& sizes) {
  struct Kind {
    const char *op, *suffix;
    Values (*build)(Graph&, const Layer&);
  };
  constexpr Kind kKinds[] = {{"conv2d_stats", "", stats},
                             {"norm_finalize", "", finalize},
                             {"scale_bias_relu", "", activate},
                             {"scale_bias_relu", "_residual", activate_sum},
                             {"scale_bias_relu_conv2d_stats", "", prologue},
                             {"scale_bias_relu_conv2d_wgrad", "", prologue_wgrad},
                             {"conv2d_dgrad_relu_norm", "", dgrad_norm},
                             {"norm_input_grad", "", input_grad}};
  std::vector<KernelCase> cases;
  for (const auto& [size, channels] : {std::pair{56, 64}, {28, 128}, {14, 256}, {7, 512}}) {
    const Layer layer{sizes.dtype, sizes.large, size, channels};
    const std::string what =
        fmt::format("b{}_{}x{}x{}", layer.batch, layer.size, layer.size, layer.channels);
    for (const Kind& kind : kKinds) {
      cases.push_back({kind.op, what + kind.suffix, layer.dtype,
                       [layer, build = kind.build](Graph& graph) { return build(graph, layer); }});
    }
  }
  return cases;
}

}  // namespace kd::cli
