// The distillation loss over few and many classes, and the optimiser over ResNet-18.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cli/bench_cases.h"
#include "kd/distill_ops.h"
#include "kd/optimizer_ops.h"

namespace kd::cli {
namespace {

constexpr int64_t kParameters = 11689512;  // of ResNet-18
constexpr int64_t kVectors = 10600;        // of them in batch norms and biases

KernelCase loss_case(DType dtype, int64_t batch, int64_t classes) {
  return {"distill_loss", fmt::format("b{}_k{}", batch, classes), dtype,
          [=](Graph& graph) -> std::vector<Value> {
            const TensorDesc logits{dtype, {batch, classes}};
            const Value student = graph.input("student", logits);
            const Value teacher = graph.input("teacher", logits);
            const Value labels = graph.input("labels", {DType::i32, {batch}});
            DistillLossAttrs attrs;
            attrs.weight[static_cast<size_t>(LossTerm::ce)] = 0.1;
            attrs.weight[static_cast<size_t>(LossTerm::kl)] = 0.9;
            const DistillLoss loss = distill_loss(
                graph, {.student = student, .teacher = teacher, .labels = labels}, attrs);
            return {loss.total, loss.terms, loss.dlogits};
          }};
}

Value one(Graph& graph, const std::string& name) { return graph.input(name, {DType::f32, {1}}); }

// An arena of ResNet-18's size, with 16-bit copies and gradients unless `low` is f32.
OptimizerArena arena_of(Graph& graph, OptimizerKind kind, DType low) {
  const TensorDesc flat{DType::f32, {kParameters}};
  OptimizerArena arena;
  arena.weights = graph.parameter("w", flat);
  if (has_first_moment(kind)) arena.first = graph.state("first", flat);
  if (has_second_moment(kind)) arena.second = graph.state("second", flat);
  if (low == DType::f32) {
    arena.high_gradient = graph.input("g", flat);
  } else {
    const TensorDesc copies{low, {kParameters - kVectors}};
    arena.low_weights = graph.state("low_w", copies);
    arena.low_gradient = graph.input("low_g", copies);
    arena.high_gradient = graph.input("high_g", {DType::f32, {kVectors}});
    arena.squares = graph.input("squares", {DType::f32, {kGradientPartials}});
    arena.loss_scale = one(graph, "loss_scale");
  }
  arena.lr = one(graph, "lr");
  if (kind >= OptimizerKind::adam) arena.step = graph.state("step", {DType::i64, {2}});
  return arena;
}

Isolated::Build update(OptimizerKind kind, DType low) {
  return [=](Graph& graph) -> std::vector<Value> {
    optimizer_update(graph, arena_of(graph, kind, low), {.kind = kind, .nesterov = true});
    return {};
  };
}

std::vector<Value> accumulate(Graph& graph) {
  const TensorDesc flat{DType::f32, {kParameters}};
  gradient_accumulate(graph, graph.state("sum", flat), graph.input("g", flat));
  return {};
}

std::vector<Value> average(Graph& graph) {
  const TensorDesc flat{DType::f32, {kParameters}};
  ema_update(graph, graph.state("average", flat), graph.input("w", flat));
  return {};
}

std::vector<Value> limit(Graph& graph) {
  max_norm(graph, graph.parameter("w", {DType::f32, {512, 3, 3, 512}}), {});
  return {};
}

Isolated::Build squares(DType low) {
  return [low](Graph& graph) -> std::vector<Value> {
    return {gradient_squares(graph, graph.input("low", {low, {kParameters - kVectors}}),
                             graph.input("high", {DType::f32, {kVectors}}))};
  };
}

std::vector<Value> loss_scale(Graph& graph) {
  const Value sums = graph.input("squares", {DType::f32, {kGradientPartials}});
  loss_scale_update(graph, sums, graph.state("loss_scale", {DType::f32, {1}}),
                    graph.state("counters", {DType::i32, {2}}), {});
  return {};
}

std::vector<Value> advance(Graph& graph) {
  advance_step(graph, graph.state("key", {DType::i64, {2}}), graph.state("row", {DType::f32, {16}}),
               graph.input("table", {DType::f32, {1000, 16}}));
  return {};
}

}  // namespace

std::vector<KernelCase> training_kernels(const CaseSizes& sizes) {
  std::vector<KernelCase> cases;
  std::vector<DType> dtypes{DType::f32};  // a linear layer's logits; 16 bits where they are stored
  if (sizes.dtype != DType::f32) dtypes.push_back(sizes.dtype);
  for (const DType dtype : dtypes) {
    for (const int64_t classes : {10, 100, 1000, 21843, 131072}) {
      for (const int64_t batch : {32, 256, 4096}) {
        cases.push_back(loss_case(dtype, batch, classes));
      }
    }
  }
  const DType low = sizes.dtype == DType::f32 ? DType::f16 : sizes.dtype;
  for (const OptimizerKind kind :
       {OptimizerKind::sgd, OptimizerKind::rmsprop, OptimizerKind::adamw}) {
    for (const DType dtype : {DType::f32, low}) {
      cases.push_back({"optimizer_update", fmt::format("{}_resnet18", name_of(kind)), dtype,
                       update(kind, dtype)});
    }
  }
  cases.push_back({"gradient_squares", "resnet18", low, squares(low)});
  cases.push_back({"gradient_accumulate", "resnet18", DType::f32, accumulate});
  cases.push_back({"ema_update", "resnet18", DType::f32, average});
  cases.push_back({"max_norm", "512x4608", DType::f32, limit});
  cases.push_back({"loss_scale_update", "one", DType::f32, loss_scale});
  cases.push_back({"advance_step", "one", DType::f32, advance});
  return cases;
}

std::vector<KernelCase> kernel_cases(const CaseSizes& sizes) {
  std::vector<KernelCase> all;
  // Convolutions last: they take longest to prepare, and a run may be cut short.
  for (const auto list : {training_kernels, norm_kernels, chain_kernels, layer_kernels,
                          value_kernels, conv_kernels}) {
    std::ranges::move(list(sizes), std::back_inserter(all));
  }
  return all;
}

}  // namespace kd::cli
