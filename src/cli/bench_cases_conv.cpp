// Convolutions: those of a student in training, those of a folded teacher.
#include <fmt/format.h>

#include "cli/bench_cases.h"
#include "kd/ops.h"

namespace kd::cli {
namespace {

struct ConvLayer {
  int64_t size, in, out;  // H = W of x; channels
  int window = 3, stride = 1;
  bool residual = false;  // of the fused one

  int64_t size_out() const { return (size - 1) / stride + 1; }
  Conv2dAttrs attrs() const {
    const int pad = window / 2;
    return {{stride, stride}, {1, 1}, {pad, pad, pad, pad}, 1};
  }
  TensorDesc x(DType dtype, int64_t batch) const { return {dtype, {batch, size, size, in}}; }
  TensorDesc y(DType dtype, int64_t batch) const {
    return {dtype, {batch, size_out(), size_out(), out}};
  }
  TensorDesc w(DType dtype) const { return {dtype, {out, window, window, in}}; }
  std::string str(int64_t batch) const {
    return fmt::format("b{}_{}x{}x{}_{}x{}_{}{}{}", batch, size, size, in, window, window, out,
                       stride > 1 ? "_stride2" : "", residual ? "_residual" : "");
  }
};

constexpr ConvLayer kResNet18[] = {{224, 3, 64, 7, 2},   {56, 64, 64},   {56, 64, 128, 3, 2},
                                   {56, 64, 128, 1, 2},  {28, 128, 128}, {28, 128, 256, 3, 2},
                                   {28, 128, 256, 1, 2}, {14, 256, 256}, {14, 256, 512, 3, 2},
                                   {14, 256, 512, 1, 2}, {7, 512, 512}};
constexpr ConvLayer kResNet50[] = {
    {224, 3, 64, 7, 2},        {56, 64, 64, 1},       {56, 64, 64, 3},
    {56, 64, 256, 1, 1, true}, {56, 256, 64, 1},      {56, 256, 128, 1},
    {56, 128, 128, 3, 2},      {28, 128, 128, 3},     {28, 128, 512, 1, 1, true},
    {28, 512, 128, 1},         {56, 256, 512, 1, 2},  {28, 512, 256, 1},
    {28, 256, 256, 3, 2},      {14, 256, 256, 3},     {14, 256, 1024, 1, 1, true},
    {14, 1024, 256, 1},        {28, 512, 1024, 1, 2}, {14, 1024, 512, 1},
    {14, 512, 512, 3, 2},      {7, 512, 512, 3},      {7, 512, 2048, 1, 1, true},
    {7, 2048, 512, 1},         {14, 1024, 2048, 1, 2}};
constexpr ConvLayer kResNet20[] = {{32, 3, 16},  {32, 16, 16},       {32, 16, 32, 3, 2},
                                   {16, 32, 32}, {16, 32, 64, 3, 2}, {8, 64, 64}};

Isolated::Build forward(ConvLayer layer, DType dtype, int64_t batch) {
  return [=](Graph& graph) -> std::vector<Value> {
    const Value x = graph.input("x", layer.x(dtype, batch));
    return {conv2d(graph, x, graph.input("w", layer.w(dtype)), layer.attrs())};
  };
}

Isolated::Build dgrad(ConvLayer layer, DType dtype, int64_t batch) {
  return [=](Graph& graph) {
    const Value dy = graph.input("dy", layer.y(dtype, batch)), w = graph.input("w", layer.w(dtype));
    const int size = static_cast<int>(layer.size);
    return graph.add(*find_op("conv2d_dgrad"), {dy, w},
                     Conv2dGradAttrs{layer.attrs(), {size, size}});
  };
}

Isolated::Build wgrad(ConvLayer layer, DType dtype, int64_t batch) {
  return [=](Graph& graph) {
    const Value x = graph.input("x", layer.x(dtype, batch)),
                dy = graph.input("dy", layer.y(dtype, batch));
    return graph.add(*find_op("conv2d_wgrad"), {x, dy},
                     Conv2dGradAttrs{layer.attrs(), {layer.window, layer.window}});
  };
}

Isolated::Build folded(ConvLayer layer, DType dtype, int64_t batch) {
  return [=](Graph& graph) -> std::vector<Value> {
    const Value x = graph.input("x", layer.x(dtype, batch));
    const Value w = graph.parameter("w", layer.w(dtype));
    const Value bias = graph.parameter("bias", {dtype, {layer.out}});
    const Value residual =
        layer.residual ? graph.input("residual", layer.y(dtype, batch)) : Value{};
    return {conv2d_bias_act(graph, x, w, bias, residual, {layer.attrs(), Activation::relu})};
  };
}

void add_student(std::vector<KernelCase>& cases, std::span<const ConvLayer> layers, DType dtype,
                 int64_t batch) {
  for (const ConvLayer& layer : layers) {
    const std::string what = layer.str(batch);
    cases.push_back({"conv2d", what, dtype, forward(layer, dtype, batch)});
    if (layer.in > 3) cases.push_back({"conv2d_dgrad", what, dtype, dgrad(layer, dtype, batch)});
    cases.push_back({"conv2d_wgrad", what, dtype, wgrad(layer, dtype, batch)});
  }
}

}  // namespace

std::vector<KernelCase> conv_kernels(const CaseSizes& sizes) {
  std::vector<KernelCase> cases;
  add_student(cases, kResNet18, sizes.dtype, sizes.large);
  add_student(cases, kResNet20, sizes.dtype, sizes.small);
  for (const ConvLayer& layer : kResNet50) {
    cases.push_back({"conv2d_bias_act", layer.str(sizes.large), sizes.dtype,
                     folded(layer, sizes.dtype, sizes.large)});
  }
  return cases;
}

}  // namespace kd::cli
