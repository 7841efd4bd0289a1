// Activations, pools and linear layers.
#include <fmt/format.h>

#include "cli/bench_cases.h"
#include "kd/ops.h"

namespace kd::cli {
namespace {

using Values = std::vector<Value>;

std::string str(const Shape& x) { return fmt::format("b{}_{}x{}x{}", x[0], x[1], x[2], x[3]); }

void add_activations(std::vector<KernelCase>& cases, DType dtype, const Shape& shape) {
  const TensorDesc x{dtype, shape};
  for (const Activation kind : {Activation::relu, Activation::silu}) {
    const std::string what = fmt::format("{}_{}", str(shape), name_of(kind));
    cases.push_back({"activation", what, dtype,
                     [=](Graph& g) -> Values { return {activation(g, g.input("x", x), kind)}; }});
    cases.push_back({"activation_backward", what, dtype, [=](Graph& g) {
                       return g.add(*find_op("activation_backward"),
                                    {g.input("dy", x), g.input("y", x)}, ActivationAttrs{kind});
                     }});
  }
}

void add_pool(std::vector<KernelCase>& cases, DType dtype, bool max, const Shape& from,
              const PoolAttrs& attrs) {
  const TensorDesc x{dtype, from};
  const auto [h, w] = pooled_size(attrs, from[1], from[2]);
  const TensorDesc y{dtype, {from[0], h, w, from[3]}};
  const std::array<int, 2> size{static_cast<int>(from[1]), static_cast<int>(from[2])};
  const std::string op = max ? "max_pool" : "avg_pool";
  cases.push_back({op, str(from), dtype, [=](Graph& g) -> Values {
                     const Value in = g.input("x", x);
                     return {max ? max_pool(g, in, attrs) : avg_pool(g, in, attrs)};
                   }});
  cases.push_back({op + "_backward", str(from), dtype, [=](Graph& g) {
                     Values inputs{g.input("dy", y)};
                     if (max) inputs.push_back(g.input("places", {DType::u8, y.shape}));
                     return g.add(*find_op(op + "_backward"), inputs, PoolGradAttrs{attrs, size});
                   }});
}

void add_global_pool(std::vector<KernelCase>& cases, DType dtype, const Shape& from) {
  const TensorDesc x{dtype, from}, y{dtype, {from[0], 1, 1, from[3]}};
  const std::array<int, 2> size{static_cast<int>(from[1]), static_cast<int>(from[2])};
  cases.push_back({"global_avg_pool", str(from), dtype,
                   [=](Graph& g) -> Values { return {global_avg_pool(g, g.input("x", x))}; }});
  cases.push_back({"global_avg_pool_backward", str(from), dtype, [=](Graph& g) {
                     return g.add(*find_op("global_avg_pool_backward"), {g.input("dy", y)},
                                  SizeAttrs{size});
                   }});
}

void add_linear(std::vector<KernelCase>& cases, DType dtype, int64_t batch, int64_t d, int64_t k) {
  const std::string what = fmt::format("b{}_{}_{}", batch, d, k);
  const TensorDesc x{dtype, {batch, d}}, w{dtype, {k, d}}, dy{dtype, {batch, k}};
  cases.push_back(
      {"linear", what, dtype, [=](Graph& g) -> Values {
         return {linear(g, g.input("x", x), g.input("w", w), g.input("bias", {DType::f32, {k}}))};
       }});
  cases.push_back(
      {"linear_dgrad", what, dtype, [=](Graph& g) {
         return g.add(*find_op("linear_dgrad"), {g.input("dy", dy), g.input("w", w)}, NoAttrs{});
       }});
  cases.push_back(
      {"linear_wgrad", what, dtype, [=](Graph& g) {
         return g.add(*find_op("linear_wgrad"), {g.input("x", x), g.input("dy", dy)}, NoAttrs{});
       }});
}

}  // namespace

std::vector<KernelCase> layer_kernels(const CaseSizes& sizes) {
  std::vector<KernelCase> cases;
  const DType dtype = sizes.dtype;
  const int64_t n = sizes.large;
  add_activations(cases, dtype, {n, 56, 56, 64});
  add_pool(cases, dtype, true, {n, 112, 112, 64}, {{3, 3}, {2, 2}, {1, 1, 1, 1}});
  add_pool(cases, dtype, false, {n, 56, 56, 64}, {});
  add_global_pool(cases, dtype, {n, 7, 7, 512});
  add_global_pool(cases, dtype, {n, 7, 7, 2048});
  add_global_pool(cases, dtype, {sizes.small, 8, 8, 64});
  add_linear(cases, dtype, n, 512, 1000);
  add_linear(cases, dtype, n, 2048, 1000);
  add_linear(cases, dtype, n, 512, 21843);
  return cases;
}

}  // namespace kd::cli
