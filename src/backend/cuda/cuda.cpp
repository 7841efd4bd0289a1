// The CUDA backend: device and pinned memory, streams, events, and the table of steps.
#include "backend/cuda/cuda.h"

#include <nvtx3/nvToolsExt.h>

#include <algorithm>

#include "backend/cuda/conv.h"
#include "backend/cuda/conv_plans.h"
#include "backend/cuda/device.h"
#include "backend/cuda/handles.h"
#include "backend/cuda/options.h"
#include "kd/error.h"

namespace kd {
namespace {

using cuda::CudaStream;

struct Implementation {
  std::string_view op;
  cuda::StepPtr (*prepare)(const PrepareRequest&);
};
constexpr Implementation kTable[] = {
#define KD_IMPL(op) {#op, cuda::prepare_##op},
#include "backend/cuda/table_kernels.def"
#include "backend/cuda/table_libraries.def"
#undef KD_IMPL
};

const Implementation* find(const Node& node) {
  const auto* at = std::ranges::find(kTable, node.op->name, &Implementation::op);
  return at == std::end(kTable) ? nullptr : at;
}

cudaStream_t native(const Stream& stream) {
  return static_cast<cudaStream_t>(static_cast<const CudaStream&>(stream).handle());
}

class OwnedStream final : public CudaStream {
 public:
  explicit OwnedStream(cuda::StreamHandle handle)
      : CudaStream(handle.get()), handle_(std::move(handle)) {}

 private:
  cuda::StreamHandle handle_;
};

struct CudaEvent final : Event {
  CudaEvent() { KD_CUDA(cudaEventCreateWithFlags(handle.out(), cudaEventDisableTiming)); }
  cuda::EventHandle handle;
};

struct CudaCaptured final : Captured {
  cuda::GraphExecHandle whole;
};

// A step whose work a profiler shows under its layer's name.
struct NamedStep final : Step {
  NamedStep(cuda::StepPtr step, std::string step_name)
      : inner(std::move(step)), name(std::move(step_name)) {
    workspace = inner->workspace;
    reorders = inner->reorders;
  }
  void run(Stream& stream, const Pointers& pointers) override {
    nvtxRangePushA(name.c_str());
    inner->run(stream, pointers);
    nvtxRangePop();
  }
  cuda::StepPtr inner;
  std::string name;
};

cudaEvent_t native(const Event& event) { return static_cast<const CudaEvent&>(event).handle.get(); }

std::string mib(size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

// Out of memory says what was asked for, what is free, and what helps.
void check_allocation(cudaError_t status, size_t bytes, const char* what) {
  if (status == cudaErrorMemoryAllocation) {
    size_t free_bytes = 0, total = 0;
    cudaMemGetInfo(&free_bytes, &total);
    cudaGetLastError();  // the failure is handled here
    fail(ErrorCode::device,
         "out of {} memory: {} asked for, {} of {} free; a smaller --batch-size needs less", what,
         mib(bytes), mib(free_bytes), mib(total));
  }
  cuda::check(status, "allocation");
}

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const EngineOptions& options) : properties_(cuda::open_device()) {
    cuda::set_cuda_options({.autotune = options.autotune,
                            .allow_tf32 = options.allow_tf32,
                            .cache_directory = options.plan_cache});
    plans_ = cuda::ConvPlans::shared();
  }
  Device device() const override { return Device::cuda; }
  std::string describe() const override { return cuda::describe_device(properties_); }
  bool computes_in_16_bits() const override { return true; }
  bool supports(const Graph& graph, const Node& node) const override {
    if (cuda::is_fused_convolution(node)) return cuda::supports_fused_convolution(graph, node);
    return find(node) != nullptr;
  }
  std::unique_ptr<Step> prepare(const PrepareRequest& request) override {
    return std::make_unique<NamedStep>(find(request.node)->prepare(request),
                                       cuda::label_of(request.node));
  }

  Buffer allocate(size_t bytes, Memory kind) override {
    void* memory = nullptr;
    const size_t size = std::max<size_t>(bytes, 1);
    if (kind == Memory::pinned_host) {
      check_allocation(cudaMallocHost(&memory, size), size, "pinned host");
      std::fill_n(static_cast<char*>(memory), size, 0);
      return {std::shared_ptr<void>(memory, [](void* p) { cudaFreeHost(p); }), bytes, Device::cuda};
    }
    check_allocation(cudaMalloc(&memory, size), size, "device");
    std::shared_ptr<void> owner(memory, [](void* p) { cudaFree(p); });
    KD_CUDA(cudaMemset(memory, 0, size));
    KD_CUDA(cudaStreamSynchronize(nullptr));  // the engine's streams do not wait for this one
    return {std::move(owner), bytes, Device::cuda};
  }
  std::unique_ptr<Stream> stream(Priority priority) override {
    int least = 0, greatest = 0;
    KD_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    cuda::StreamHandle handle;
    KD_CUDA(cudaStreamCreateWithPriority(handle.out(), cudaStreamNonBlocking,
                                         priority == Priority::high ? greatest : least));
    return std::make_unique<OwnedStream>(std::move(handle));
  }
  std::unique_ptr<Event> event() override { return std::make_unique<CudaEvent>(); }

  void copy(void* dst, const void* src, size_t bytes, Stream& stream) override {
    KD_CUDA(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDefault, native(stream)));
  }
  void fill(void* dst, int byte, size_t bytes, Stream& stream) override {
    KD_CUDA(cudaMemsetAsync(dst, byte, bytes, native(stream)));
  }
  void record(Event& event, Stream& stream) override {
    KD_CUDA(cudaEventRecord(native(event), native(stream)));
  }
  void wait(Event& event, Stream& stream) override {
    KD_CUDA(cudaStreamWaitEvent(native(stream), native(event), 0));
  }
  void synchronize(Stream& stream) override { KD_CUDA(cudaStreamSynchronize(native(stream))); }
  void synchronize(Event& event) override { KD_CUDA(cudaEventSynchronize(native(event))); }

  bool can_capture() const override { return true; }
  void begin_capture(Stream& origin) override {
    KD_CUDA(cudaStreamBeginCapture(native(origin), cudaStreamCaptureModeThreadLocal));
  }
  std::unique_ptr<Captured> end_capture(Stream& origin) override {
    cuda::GraphHandle graph;
    KD_CUDA(cudaStreamEndCapture(native(origin), graph.out()));
    auto captured = std::make_unique<CudaCaptured>();
    KD_CUDA(cudaGraphInstantiate(captured->whole.out(), graph.get(), 0));
    return captured;
  }
  void replay(Captured& captured, Stream& stream) override {
    KD_CUDA(cudaGraphLaunch(static_cast<CudaCaptured&>(captured).whole.get(), native(stream)));
  }

 private:
  cudaDeviceProp properties_;
  std::shared_ptr<cuda::ConvPlans> plans_;  // kept between programs
};

}  // namespace

namespace cuda {
std::unique_ptr<Backend> make_cuda_backend(const EngineOptions& options) {
  return std::make_unique<CudaBackend>(options);
}
}  // namespace cuda

}  // namespace kd
