#include "distill/roofline.h"

#include <algorithm>
#include <limits>

#include "core/stop_watch.h"
#include "kd/ops.h"
#include "kd/program.h"

namespace kd {
namespace {

constexpr int kRounds = 9;

size_t large_bytes(const Backend& backend) {
  return backend.device() == Device::cpu ? size_t{256} << 20 : size_t{1} << 30;
}

std::vector<double> copy_seconds(Backend& backend) {
  const size_t bytes = large_bytes(backend);
  const Buffer from = backend.allocate(bytes, Memory::device);
  const Buffer to = backend.allocate(bytes, Memory::device);
  const auto stream = backend.stream(Priority::normal);
  backend.fill(from.data(), 1, bytes, *stream);  // memory never written may not be there yet
  std::vector<double> seconds;
  for (int round = 0; round < kRounds; ++round) {
    seconds.push_back(seconds_of([&] {
      backend.copy(to.data(), from.data(), bytes, *stream);
      backend.synchronize(*stream);
    }));
  }
  return seconds;
}

// The fewest seconds of the one node of a graph that reads leaves and writes `output`.
double fastest_run(Graph graph, Value output, Backend& backend) {
  const std::vector<Value> leaves = graph.leaves(Role::input);
  CompileOptions options;
  options.outputs = {output};
  Program program = compile(std::move(graph), backend, options);
  const auto stream = backend.stream(Priority::normal);
  for (const Value v : leaves) {
    const Tensor tensor = program.tensor(v);
    backend.fill(tensor.data(), 0, tensor.bytes(), *stream);
  }
  program.run(*stream);
  backend.synchronize(*stream);
  double least = std::numeric_limits<double>::max();
  for (int round = 0; round < kRounds; ++round) {
    least = std::min(least, seconds_of([&] {
                       program.run(*stream);
                       backend.synchronize(*stream);
                     }));
  }
  return least;
}

double product_flops(Backend& backend, DType dtype) {
  const int64_t size = backend.device() == Device::cpu ? 1024 : 8192;
  Graph graph;
  const Value a = graph.input("a", {dtype, {size, size}}),
              b = graph.input("b", {dtype, {size, size}});
  const Value product = linear(graph, a, b);
  const auto n = static_cast<double>(size);
  return 2 * n * n * n / fastest_run(std::move(graph), product, backend);
}

// By a kernel that reads and writes: on the CPU all its threads stream, where a copy has one.
double stream_bytes(Backend& backend) {
  const auto count = static_cast<int64_t>(large_bytes(backend) / sizeof(float));
  Graph graph;
  const Value x = graph.input("x", {DType::f32, {count / 1024, 1024}});
  const Value y = affine(graph, x, 2, 1);
  const double moved = 2.0 * static_cast<double>(graph.desc(x).bytes());
  return moved / fastest_run(std::move(graph), y, backend);
}

}  // namespace

double Roofline::least_seconds(const Cost& cost) const {
  return std::max(cost.flops / flops, cost.bytes / bytes);
}

bool Roofline::is_memory_bound(const Cost& cost) const {
  return cost.bytes / bytes >= cost.flops / flops;
}

double copy_bandwidth(Backend& backend) {
  return 2 * static_cast<double>(large_bytes(backend)) / median(copy_seconds(backend));
}

Roofline measure_roofline(Backend& backend, DType dtype) {
  const double copied =
      2 * static_cast<double>(large_bytes(backend)) / std::ranges::min(copy_seconds(backend));
  return {product_flops(backend, dtype), std::max(copied, stream_bytes(backend)), dtype};
}

}  // namespace kd
