// Batch norm: alone, with the ReLU and the residual add behind it, with a mask, with a stem's pool.
#include <fmt/format.h>

#include "cli/bench_cases.h"
#include "kd/fused_ops.h"

namespace kd::cli {
namespace {

using Values = std::vector<Value>;

std::string str(const Shape& x) { return fmt::format("b{}_{}x{}x{}", x[0], x[1], x[2], x[3]); }

Value vector(Graph& graph, Role role, const std::string& name, int64_t channels) {
  return graph.leaf(role, name, {DType::f32, {channels}});
}

BatchNormWeights norm_weights(Graph& graph, int64_t c) {
  return {vector(graph, Role::parameter, "gamma", c), vector(graph, Role::parameter, "beta", c),
          vector(graph, Role::state, "running_mean", c),
          vector(graph, Role::state, "running_var", c)};
}

// What every gradient reads last.
void push_statistics(Graph& graph, Values& inputs, int64_t c) {
  for (const char* name : {"gamma", "mean", "var"}) {
    inputs.push_back(vector(graph, Role::input, name, c));
  }
}

TensorDesc mask_of(const TensorDesc& x) { return {DType::u8, {(x.shape.elements() + 7) / 8}}; }

class Norms {
 public:
  Norms(std::vector<KernelCase>& cases, const TensorDesc& x) : cases_(cases), x_(x) {}

  void plain() {
    add("batch_norm_train", "", [x = x_](Graph& g) -> Values {
      const auto made = batch_norm_train(g, g.input("x", x), norm_weights(g, x.shape[3]));
      return {made.y, made.mean, made.var};
    });
    gradient("batch_norm_backward", "", {{"dy", x_}, {"x", x_}}, BatchNormAttrs{});
  }
  void with_relu(bool residual) {
    const std::string suffix = residual ? "_residual" : "";
    const BatchNormReluGradAttrs attrs{1e-5, residual};
    add("batch_norm_relu_train", suffix, [x = x_, residual](Graph& g) -> Values {
      const Value other = residual ? g.input("residual", x) : Value{};
      const auto made =
          batch_norm_relu_train(g, g.input("x", x), norm_weights(g, x.shape[3]), other);
      return {made.y, made.mean, made.var};
    });
    gradient("batch_norm_relu_backward", suffix, {{"dy", x_}, {"y", x_}, {"x", x_}}, attrs);
    add("batch_norm_relu_mask_train", suffix, [x = x_, residual](Graph& g) -> Values {
      const Value other = residual ? g.input("residual", x) : Value{};
      const auto made =
          batch_norm_relu_mask_train(g, g.input("x", x), norm_weights(g, x.shape[3]), other);
      return {made.y, made.mean, made.var, made.mask};
    });
    gradient("batch_norm_relu_mask_backward", suffix,
             {{"dy", x_}, {"mask", mask_of(x_)}, {"x", x_}}, attrs);
  }
  void with_pool() {
    const BatchNormPoolAttrs attrs{{}, {{3, 3}, {2, 2}, {1, 1, 1, 1}}};
    add("batch_norm_relu_max_pool_train", "", [x = x_, attrs](Graph& g) -> Values {
      const auto made =
          batch_norm_relu_max_pool_train(g, g.input("x", x), norm_weights(g, x.shape[3]), attrs);
      return {made.y, made.mean, made.var, made.index};
    });
    const auto [h, w] = pooled_size(attrs.pool, x_.shape[1], x_.shape[2]);
    const Shape pooled{x_.shape[0], h, w, x_.shape[3]};
    gradient("batch_norm_relu_max_pool_backward", "",
             {{"dy", {x_.dtype, pooled}},
              {"places", {DType::u8, pooled}},
              {"y", {x_.dtype, pooled}},
              {"x", x_}},
             attrs);
  }
  void in_evaluation() {
    add("batch_norm", "", [x = x_](Graph& g) -> Values {
      return {batch_norm(g, g.input("x", x), norm_weights(g, x.shape[3]))};
    });
  }
  void masks() {
    add("sign_mask", "", [x = x_](Graph& g) -> Values { return {sign_mask(g, g.input("y", x))}; });
    add("apply_mask", "", [x = x_](Graph& g) -> Values {
      return {apply_mask(g, g.input("x", x), g.input("mask", mask_of(x)))};
    });
  }

 private:
  using Inputs = std::vector<std::pair<std::string, TensorDesc>>;

  void add(const std::string& op, const std::string& suffix, Isolated::Build build) {
    cases_.push_back({op, str(x_.shape) + suffix, x_.dtype, std::move(build)});
  }
  template <class Attrs>
  void gradient(const std::string& op, const std::string& suffix, const Inputs& inputs,
                const Attrs& attrs) {
    add(op, suffix, [op, inputs, attrs, c = x_.shape[3]](Graph& g) {
      Values values;
      for (const auto& [name, desc] : inputs) values.push_back(g.input(name, desc));
      push_statistics(g, values, c);
      return g.add(*find_op(op), values, attrs);
    });
  }

  std::vector<KernelCase>& cases_;
  TensorDesc x_;
};

}  // namespace

std::vector<KernelCase> norm_kernels(const CaseSizes& sizes) {
  std::vector<KernelCase> cases;
  const int64_t n = sizes.large;
  for (const Shape& x :
       {Shape{n, 112, 112, 64}, Shape{n, 56, 56, 64}, Shape{n, 28, 28, 128}, Shape{n, 14, 14, 256},
        Shape{n, 7, 7, 512}, Shape{sizes.small, 32, 32, 16}, Shape{sizes.small, 8, 8, 64}}) {
    Norms norms(cases, {sizes.dtype, x});
    norms.plain();
    norms.with_relu(false);
    norms.with_relu(true);
    if (x[1] == 112) norms.with_pool();
    if (x[1] == 56) {
      norms.in_evaluation();
      norms.masks();
    }
  }
  return cases;
}

}  // namespace kd::cli
