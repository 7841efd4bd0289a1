// The distillation loss over few and many classes, and the optimiser over ResNet-18.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cli/bench_cases.h"
#include "kd/distill_ops.h"
#include "kd/ops.h"

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

std::vector<Value> sgd(Graph& graph) {
  const TensorDesc flat{DType::f32, {kParameters}};
  const Value w = graph.parameter("w", flat), g = graph.input("g", flat),
              v = graph.state("v", flat);
  sgd_update(graph, w, g, v, one(graph, "lr"), {0.9, 0, true, 0});
  return {};
}

Isolated::Build squares(DType low) {
  return [low](Graph& graph) -> std::vector<Value> {
    return {gradient_squares(graph, graph.input("low", {low, {kParameters - kVectors}}),
                             graph.input("high", {DType::f32, {kVectors}}))};
  };
}

Isolated::Build sgd_mixed(DType low) {
  return [low](Graph& graph) -> std::vector<Value> {
    const TensorDesc flat{DType::f32, {kParameters}}, copies{low, {kParameters - kVectors}};
    const MixedArena arena{graph.parameter("w", flat), graph.state("v", flat),
                           graph.state("low_w", copies), graph.input("low_g", copies),
                           graph.input("high_g", {DType::f32, {kVectors}})};
    const Value sums = graph.input("squares", {DType::f32, {kGradientPartials}});
    sgd_update_mixed(graph, arena, sums, one(graph, "lr"), one(graph, "loss_scale"),
                     {0.9, 0, true, 0});
    return {};
  };
}

std::vector<Value> loss_scale(Graph& graph) {
  const Value sums = graph.input("squares", {DType::f32, {kGradientPartials}});
  loss_scale_update(graph, sums, graph.state("loss_scale", {DType::f32, {1}}),
                    graph.state("counters", {DType::i32, {2}}), {});
  return {};
}

std::vector<Value> advance(Graph& graph) {
  advance_step(graph, graph.state("key", {DType::i64, {2}}), graph.state("lr", {DType::f32, {1}}),
               graph.input("rates", {DType::f32, {1000}}));
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
  cases.push_back({"sgd_update", "resnet18", DType::f32, sgd});
  cases.push_back({"gradient_squares", "resnet18", low, squares(low)});
  cases.push_back({"sgd_update_mixed", "resnet18", low, sgd_mixed(low)});
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
