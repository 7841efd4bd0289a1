#include "simt/backend.h"

#include <algorithm>
#include <cstring>

#include "backend/cuda/cuda.h"
#include "kd/error.h"

namespace kd::test {
namespace {

struct Implementation {
  std::string_view op;
  cuda::StepPtr (*prepare)(const PrepareRequest&);
};
const Implementation kKernels[] = {
#define KD_IMPL(op) {#op, cuda::prepare_##op},
#include "backend/cuda/table_kernels.def"
#undef KD_IMPL
};
constexpr std::string_view kLibraries[] = {
#define KD_IMPL(op) #op,
#include "backend/cuda/table_libraries.def"
#undef KD_IMPL
};

float widened(DType dtype, const void* data, int64_t i) {
  if (dtype == DType::f32) return static_cast<const float*>(data)[i];
  const uint16_t bits = static_cast<const uint16_t*>(data)[i];
  return dtype == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

void narrow(DType dtype, void* data, int64_t i, float value) {
  if (dtype == DType::f32) {
    static_cast<float*>(data)[i] = value;
  } else {
    static_cast<uint16_t*>(data)[i] = dtype == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
  }
}

// The node alone, of f32 values.
Graph f32_twin(const Graph& graph, const Node& node) {
  Graph twin;
  std::vector<Value> inputs;
  for (const Value v : node.inputs) {
    inputs.push_back(
        twin.input("in" + std::to_string(inputs.size()), {DType::f32, graph.shape(v)}));
  }
  twin.add(*node.op, inputs, node.attrs, node.name);
  return twin;
}

// A node of a library, computed in f32 by the CPU engine between roundings.
class LibraryStep final : public Step {
 public:
  LibraryStep(const PrepareRequest& request, Backend& cpu)
      : twin_(f32_twin(request.graph, request.node)) {
    for (const Value v : request.node.inputs) in_.push_back(staged(request.graph.desc(v)));
    for (const Value v : request.node.outputs) out_.push_back(staged(request.graph.desc(v)));
    const std::vector<LayoutPtr> in_layouts(in_.size());
    std::vector<LayoutPtr> out_layouts(out_.size());
    const std::vector<char> frozen(in_.size(), 0), plain(out_.size(), 1);
    step_ = cpu.prepare({twin_, twin_.nodes().back(), in_layouts, out_layouts, frozen, plain});
    workspace = step_->workspace;
  }

  void run(Stream& stream, const Pointers& p) override {
    std::vector<void*> inputs, outputs;
    for (size_t i = 0; i < in_.size(); ++i) {
      for (int64_t e = 0; e < in_[i].f32.elements(); ++e) {
        in_[i].f32.as<float>()[e] = widened(in_[i].dtype, p.inputs[i], e);
      }
      inputs.push_back(in_[i].f32.data());
    }
    for (const Staged& made : out_) outputs.push_back(made.f32.data());
    step_->run(stream, {inputs, outputs, p.workspace, p.weights_version});
    for (size_t i = 0; i < out_.size(); ++i) {
      for (int64_t e = 0; e < out_[i].f32.elements(); ++e) {
        narrow(out_[i].dtype, p.outputs[i], e, out_[i].f32.as<float>()[e]);
      }
    }
  }

 private:
  struct Staged {
    DType dtype;
    Tensor f32;
  };
  static Staged staged(const TensorDesc& desc) {
    return {desc.dtype, Tensor::host({DType::f32, desc.shape})};
  }
  Graph twin_;
  std::vector<Staged> in_, out_;
  std::unique_ptr<Step> step_;
};

class SimtBackend final : public Backend {
 public:
  Device device() const override { return Device::cpu; }
  std::string describe() const override { return "simt: the CUDA engine's kernels on the host"; }
  bool computes_in_16_bits() const override { return true; }
  bool supports(const Graph& graph, const Node& node) const override {
    if (kernel(node) != nullptr) return true;
    if (!is_library(node)) return false;
    const Graph twin = f32_twin(graph, node);
    return cpu_->supports(twin, twin.nodes().back());
  }
  std::unique_ptr<Step> prepare(const PrepareRequest& request) override {
    if (is_library(request.node)) return std::make_unique<LibraryStep>(request, *cpu_);
    return kernel(request.node)(request);
  }
  Buffer allocate(size_t bytes, Memory) override {
    Buffer buffer = allocate_host(bytes);
    std::memset(buffer.data(), 0, bytes);
    return buffer;
  }
  std::unique_ptr<Stream> stream(Priority) override {
    return std::make_unique<cuda::CudaStream>(nullptr);
  }
  std::unique_ptr<Event> event() override { return std::make_unique<Event>(); }
  void copy(void* dst, const void* src, size_t bytes, Stream&) override {
    std::memcpy(dst, src, bytes);
  }
  void fill(void* dst, int byte, size_t bytes, Stream&) override { std::memset(dst, byte, bytes); }
  void record(Event&, Stream&) override {}
  void wait(Event&, Stream&) override {}
  void synchronize(Stream&) override {}
  void synchronize(Event&) override {}

 private:
  using Prepare = cuda::StepPtr (*)(const PrepareRequest&);
  static Prepare kernel(const Node& node) {
    const auto* at = std::ranges::find(kKernels, node.op->name, &Implementation::op);
    return at == std::end(kKernels) ? nullptr : at->prepare;
  }
  static bool is_library(const Node& node) {
    return std::ranges::find(kLibraries, node.op->name) != std::end(kLibraries);
  }
  std::unique_ptr<Backend> cpu_ = make_backend(Device::cpu, {.threads = 2});
};

}  // namespace

std::unique_ptr<Backend> make_simt_backend() { return std::make_unique<SimtBackend>(); }

}  // namespace kd::test
