// Pointwise arithmetic, ops that move elements, rows of logits, pictures.
#include <fmt/format.h>

#include "cli/bench_cases.h"
#include "kd/mix_ops.h"
#include "kd/term_ops.h"

namespace kd::cli {
namespace {

using Values = std::vector<Value>;

std::string str(const Shape& x) {
  std::string text = fmt::format("b{}", x[0]);
  for (int axis = 1; axis < x.rank(); ++axis) {
    text += fmt::format("{}{}", axis == 1 ? "_" : "x", x[axis]);
  }
  return text;
}

// Collects cases of one input x.
struct Unary {
  std::vector<KernelCase>& cases;
  TensorDesc x;
  void add(const std::string& op, const std::function<Value(Graph&, Value)>& build) const {
    cases.push_back({op, str(x.shape), x.dtype,
                     [x = x, build](Graph& g) -> Values { return {build(g, g.input("x", x))}; }});
  }
};

void add_pointwise(std::vector<KernelCase>& cases, const TensorDesc& x) {
  const Unary unary{cases, x};
  for (Value (*binary)(Graph&, Value, Value, std::string) : {&kd::add, &kd::mul, &kd::div}) {
    const std::string op = binary == &kd::add ? "add" : binary == &kd::mul ? "mul" : "div";
    cases.push_back({op, str(x.shape), x.dtype, [=](Graph& g) -> Values {
                       return {binary(g, g.input("a", x), g.input("b", x), {})};
                     }});
  }
  unary.add("affine", [](Graph& g, Value v) { return affine(g, v, 0.5, 1); });
  unary.add("exp", [](Graph& g, Value v) { return exp(g, v); });
  unary.add("log", [](Graph& g, Value v) { return log(g, v); });
  unary.add("sqrt", [](Graph& g, Value v) { return sqrt(g, v); });
  unary.add("transpose", [](Graph& g, Value v) { return transpose(g, v, {0, 3, 1, 2}); });
  unary.add("batched_matmul", [x](Graph& g, Value v) {  // C x C for each picture
    const Value maps = reshape(g, v, {x.shape[0], -1, x.shape[3]});
    return batched_matmul(g, maps, maps, {.transpose_a = true});
  });
  unary.add("reshape", [](Graph& g, Value v) { return flatten(g, v); });
  unary.add("stop_gradient", [](Graph& g, Value v) { return stop_gradient(g, v); });
  unary.add("sum_to", [c = x.shape[3]](Graph& g, Value v) { return sum_to(g, v, {c}); });
  unary.add("channel_shuffle", [](Graph& g, Value v) { return channel_shuffle(g, v, 2); });
  cases.push_back({"broadcast_to", str(x.shape), x.dtype, [=](Graph& g) -> Values {
                     return {broadcast_to(g, g.input("x", {x.dtype, {x.shape[3]}}), x.shape)};
                   }});
  cases.push_back({"concat", str(x.shape), x.dtype, [=](Graph& g) -> Values {
                     return {concat(g, {g.input("a", x), g.input("b", x)})};
                   }});
}

// The parameter-free shortcut of a ResNet for CIFAR: every second pixel, and channels of zeros.
void add_shortcut(std::vector<KernelCase>& cases, const TensorDesc& x) {
  const Unary unary{cases, x};
  const SliceAttrs second{{1, 2}, {0, 0}, {x.shape[1], x.shape[2]}, {2, 2}};
  unary.add("slice", [=](Graph& g, Value v) { return slice(g, v, second); });
  unary.add("pad", [](Graph& g, Value v) { return pad(g, v, {{3}, {8}, {8}}); });
  cases.push_back(
      {"slice_backward", str(x.shape), x.dtype, [=](Graph& g) {
         const TensorDesc dy{x.dtype, {x.shape[0], x.shape[1] / 2, x.shape[2] / 2, x.shape[3]}};
         return g.add(*find_op("slice_backward"), {g.input("dy", dy)},
                      SliceGradAttrs{second, {x.shape[1], x.shape[2]}});
       }});
}

void add_rows(std::vector<KernelCase>& cases, const TensorDesc& x) {
  const Unary unary{cases, x};
  const int64_t rows = x.shape[0], classes = x.shape[1];
  unary.add("softmax", [](Graph& g, Value v) { return softmax(g, v, 4); });
  unary.add("log_softmax", [](Graph& g, Value v) { return log_softmax(g, v, 4); });
  for (const char* op : {"softmax_backward", "log_softmax_backward"}) {
    cases.push_back(
        {op, str(x.shape), x.dtype, [=](Graph& g) {
           return g.add(*find_op(op), {g.input("dy", x), g.input("y", x)}, SoftmaxAttrs{4});
         }});
  }
  unary.add("dropout", [](Graph& g, Value v) {
    return dropout(g, v, g.input("key", {DType::i64, {2}}), {});
  });
  unary.add("arg_max", [](Graph& g, Value v) { return arg_max(g, v); });
  unary.add("top_k_correct", [=](Graph& g, Value v) {
    return top_k_correct(g, v, g.input("labels", {DType::i32, {rows}}), 5);
  });
  cases.push_back({"one_hot", str(x.shape), DType::f32, [=](Graph& g) -> Values {
                     return {one_hot(g, g.input("labels", {DType::i32, {rows}}), classes, 0.1)};
                   }});
  cases.push_back({"fill", str(x.shape), DType::f32,
                   [=](Graph& g) -> Values { return {fill(g, x.shape, 1)}; }});
}

void add_casts(std::vector<KernelCase>& cases, DType low) {
  const Shape flat{11689512};  // the parameters of ResNet-18
  for (const auto& [from, to] : {std::pair{DType::f32, low}, std::pair{low, DType::f32}}) {
    cases.push_back({"cast", fmt::format("{}_to_{}", flat[0], name_of(to)), from,
                     [from = from, to = to, flat](Graph& g) -> Values {
                       return {cast(g, g.input("x", {from, flat}), to)};
                     }});
  }
}

void add_pictures(std::vector<KernelCase>& cases, DType to, int64_t batch, int size) {
  cases.push_back(
      {"place_images", fmt::format("b{}_{}x{}x3", batch, size, size), to, [=](Graph& g) -> Values {
         const Value pixels = g.input("pixels", {DType::u8, {batch, size, size, 3}});
         return {place_images(g, pixels, g.input("placements", {DType::i32, {batch, 3}}),
                              g.input("table", {DType::f32, {3, 257}}), {{size, size}, 3, to})};
       }});
  cases.push_back(
      {"mix_images", fmt::format("b{}_{}x{}x3", batch, size, size), to, [=](Graph& g) -> Values {
         return {mix_images(g, g.input("x", {to, {batch, size, size, 3}}),
                            g.input("partners", {DType::i32, {batch}}),
                            g.input("shares", {DType::f32, {batch}}),
                            g.input("boxes", {DType::i32, {batch, 4}}))};
       }});
  for (const int made : {size / 2, size * 2}) {
    cases.push_back({"resize_images", fmt::format("b{}_{}_to_{}x3", batch, size, made), to,
                     [=](Graph& g) -> Values {
                       const Value x = g.input("x", {to, {batch, size, size, 3}});
                       return {resize_images(g, x, {{made, made}})};
                     }});
  }
}

// Contrastive distillation with the bank of CIFAR-100's 50000 samples; products with it include the
// choice of its rows.
void add_contrast(std::vector<KernelCase>& cases, int64_t batch) {
  const int64_t count = 16384, samples = 50000, features = 128;
  const std::string size = fmt::format("b{}_{}", batch, count), drawn_first = size + "_drawn";
  const auto ids = [=](Graph& g) { return g.input("ids", {DType::i32, {batch}}); };
  const auto bank = [=](Graph& g) { return g.state("bank", {DType::f32, {samples, features}}); };
  const auto drawn = [=](Graph& g) {
    return sample_negatives(g, g.input("key", {DType::i64, {2}}), ids(g), {},
                            {.count = count, .population = samples});
  };
  const auto x = [=](Graph& g) { return g.input("x", {DType::f32, {batch, features}}); };
  const auto add = [&](const std::string& op, const std::string& what,
                       const std::function<Values(Graph&)>& build) {
    cases.push_back({op, what, DType::f32, build});
  };
  add("sample_negatives", size, [=](Graph& g) -> Values { return {drawn(g)}; });
  add("gather_dot", drawn_first,
      [=](Graph& g) -> Values { return {gather_dot(g, x(g), bank(g), drawn(g))}; });
  add("gather_dot_backward", drawn_first, [=](Graph& g) -> Values {
    const Value dy = g.input("dy", {DType::f32, {batch, 1 + count}});
    return g.add(*find_op("gather_dot_backward"), {dy, bank(g), drawn(g)}, NoAttrs{});
  });
  add("bank_update", size, [=](Graph& g) -> Values {
    bank_update(g, bank(g), ids(g), x(g), {});
    return {};
  });
}

}  // namespace

std::vector<KernelCase> value_kernels(const CaseSizes& sizes) {
  std::vector<KernelCase> cases;
  add_pointwise(cases, {sizes.dtype, {sizes.large, 56, 56, 64}});
  add_shortcut(cases, {sizes.dtype, {sizes.small, 32, 32, 16}});
  add_contrast(cases, sizes.large);
  add_rows(cases, {DType::f32, {sizes.large, 1000}});
  add_rows(cases, {DType::f32, {sizes.large, 21843}});
  add_casts(cases, sizes.dtype == DType::f32 ? DType::f16 : sizes.dtype);
  add_pictures(cases, sizes.dtype, sizes.large, 224);
  add_pictures(cases, sizes.dtype, sizes.small, 32);
  return cases;
}

}  // namespace kd::cli
