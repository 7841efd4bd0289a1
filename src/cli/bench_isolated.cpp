#include "cli/bench_isolated.h"

#include <algorithm>
#include <cstring>

#include "cli/bench.h"
#include "core/stop_watch.h"
#include "kd/random.h"

namespace kd::cli {
namespace {

constexpr Role kLeafRoles[] = {Role::input, Role::parameter, Role::state};

struct Range {  // half-open
  float low = -1, high = 1;
  uint32_t first = 0, count = 2;  // whole numbers: 0 and 1, so that every label is a class
};

Range range_of(const std::string& leaf) {
  if (leaf == "pixels" || leaf == "mask") return {.count = 256};
  if (leaf == "places") return {.first = 4, .count = 1};  // of a 3 x 3 window, never in the padding
  if (leaf.ends_with("var") || leaf == "loss_scale") return {.low = 0.5F, .high = 1.5F};
  return {};
}

void write_random(DType dtype, void* at, const Range& range, RandomSequence& random) {
  const float value = range.low + (range.high - range.low) * static_cast<float>(random.uniform());
  const auto store = [at](auto x) { std::memcpy(at, &x, sizeof(x)); };
  switch (dtype) {
    case DType::f32:
      return store(value);
    case DType::f16:
      return store(f32_to_f16(value));
    case DType::bf16:
      return store(f32_to_bf16(value));
    case DType::u8:
      return store(static_cast<uint8_t>(range.first + random.below(range.count)));
    case DType::i32:
      return store(static_cast<int32_t>(range.first + random.below(range.count)));
    case DType::i64:
      return store(static_cast<int64_t>(range.first + random.below(range.count)));
  }
}

}  // namespace

Isolated::Isolated(const Build& build, Backend& backend)
    : backend_(backend), stream_(backend.stream(Priority::normal)) {
  Graph graph;
  CompileOptions options;
  options.outputs = build(graph);
  options.frozen = graph.leaves(Role::parameter);
  for (const Node& node : graph.nodes()) {
    if (node.op->cost == nullptr) continue;
    const Cost cost = node.op->cost(graph, node);
    cost_ = {cost_.bytes + cost.bytes, cost_.flops + cost.flops};
  }
  const Graph as_built = graph;
  program_.emplace(compile(std::move(graph), backend, options));
  for (const Role role : kLeafRoles) {
    for (const Value v : as_built.leaves(role)) fill(as_built.info(v), program_->tensor(v));
  }
}

// One block of random numbers, again and again: enough for a chip's power and branches to be those
// of real data, quick for gigabytes.
void Isolated::fill(const ValueInfo& leaf, const Tensor& tensor) {
  if (leaf.name == "lr" || leaf.name == "key" || leaf.name == "counters") return;
  const Range range = range_of(leaf.name);
  const size_t each = size_of(leaf.desc.dtype);
  std::vector<std::byte> block(std::min(tensor.bytes(), each << 20));
  RandomSequence random(1, Purpose::shuffle, 0, 0);
  for (size_t at = 0; at < block.size(); at += each) {
    write_random(leaf.desc.dtype, block.data() + at, range, random);
  }
  auto* const to = static_cast<std::byte*>(tensor.data());
  for (size_t at = 0; at < tensor.bytes(); at += block.size()) {
    backend_.copy(to + at, block.data(), std::min(block.size(), tensor.bytes() - at), *stream_);
  }
  wait();
}

double Isolated::seconds(int64_t runs) {
  return seconds_of([&] {
    for (int64_t i = 0; i < runs; ++i) enqueue();
    wait();
  });
}

double bytes_of(const Isolated::Build& build) {
  Graph graph;
  build(graph);
  double bytes = 0;
  for (int id = 0; id < graph.value_count(); ++id) {
    bytes += static_cast<double>(graph.desc({id}).bytes());
  }
  return bytes;
}

}  // namespace kd::cli
