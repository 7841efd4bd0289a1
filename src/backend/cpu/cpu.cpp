// The CPU backend: host memory, streams that run inline, and the table of steps.
#include "backend/cpu/cpu.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

#include "kd/error.h"

namespace kd {
namespace {

struct Implementation {
  std::string_view op;
  cpu::StepPtr (*prepare)(const PrepareRequest&);
};
constexpr Implementation kTable[] = {
#define KD_IMPL(op) {#op, cpu::prepare_##op},
#include "backend/cpu/table.def"
#undef KD_IMPL
};

const Implementation* find(const Node& node) {
  for (const Implementation& entry : kTable) {
    if (entry.op == node.op->name) return &entry;
  }
  return nullptr;
}

// Arithmetic here is in f32; only what converts and what trains in 16 bits takes other floats.
bool takes_any_float(const Node& node) {
  constexpr std::string_view kNames[] = {"cast",        "gradient_squares",    "optimizer_update",
                                         "lamb_norms",  "gradient_accumulate", "max_norm",
                                         "place_images"};
  return std::ranges::find(kNames, node.op->name) != std::end(kNames);
}

bool all_f32(const Graph& graph, const Node& node) {
  const auto is_16_bit = [&](Value v) {
    const DType dtype = graph.desc(v).dtype;
    return dtype == DType::f16 || dtype == DType::bf16;
  };
  return std::ranges::none_of(node.inputs, is_16_bit) &&
         std::ranges::none_of(node.outputs, is_16_bit);
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const EngineOptions& options) {
    if (options.threads > 0) omp_set_num_threads(options.threads);
  }
  Device device() const override { return Device::cpu; }
  std::string describe() const override {
    return format("cpu: {}, {} threads", cpu::onednn_version(), omp_get_max_threads());
  }
  bool supports(const Graph& graph, const Node& node) const override {
    return find(node) != nullptr && (takes_any_float(node) || all_f32(graph, node));
  }
  std::unique_ptr<Step> prepare(const PrepareRequest& request) override {
    return find(request.node)->prepare(request);
  }
  Buffer allocate(size_t bytes, Memory) override {
    Buffer buffer = allocate_host(bytes);
    std::memset(buffer.data(), 0, bytes);
    return buffer;
  }
  std::unique_ptr<Stream> stream(Priority) override { return std::make_unique<Stream>(); }
  std::unique_ptr<Event> event() override { return std::make_unique<Event>(); }
  void copy(void* dst, const void* src, size_t bytes, Stream&) override {
    std::memcpy(dst, src, bytes);
  }
  void fill(void* dst, int byte, size_t bytes, Stream&) override { std::memset(dst, byte, bytes); }
  void record(Event&, Stream&) override {}
  void wait(Event&, Stream&) override {}
  void synchronize(Stream&) override {}
  void synchronize(Event&) override {}
};

}  // namespace

namespace cpu {
std::unique_ptr<Backend> make_cpu_backend(const EngineOptions& options) {
  return std::make_unique<CpuBackend>(options);
}
}  // namespace cpu

}  // namespace kd
