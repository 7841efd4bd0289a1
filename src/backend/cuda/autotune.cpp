#include "backend/cuda/autotune.h"

#include <algorithm>
#include <limits>

namespace kd::cuda {
namespace {

constexpr int kRounds = 3, kRunsPerRound = 5;
constexpr float kWorthIt = 0.97F;  // a later candidate must be this much faster, not just lucky
constexpr int kFiller = 0x3c;      // bytes that make floats of moderate size in every type

using Memory = Handle<void*, cudaFree>;

// Empty if the device has not got so much.
Memory allocate(size_t bytes, cudaStream_t stream) {
  Memory memory;
  const size_t size = std::max<size_t>(bytes, 1);
  const cudaError_t status = cudaMalloc(memory.out(), size);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // the failure is handled
    return {};
  }
  KD_CUDA(status);
  KD_CUDA(cudaMemsetAsync(memory.get(), kFiller, size, stream));
  return memory;
}

// Milliseconds a run, the best of a few rounds.
float time_of(PlanRun& run, cudnnHandle_t handle, cudaStream_t stream,
              std::span<void* const> pointers, void* workspace) {
  EventHandle start, stop;
  KD_CUDA(cudaEventCreate(start.out()));
  KD_CUDA(cudaEventCreate(stop.out()));
  run(handle, pointers, workspace);  // the first one loads code
  float best = std::numeric_limits<float>::max();
  for (int round = 0; round < kRounds; ++round) {
    KD_CUDA(cudaEventRecord(start.get(), stream));
    for (int i = 0; i < kRunsPerRound; ++i) run(handle, pointers, workspace);
    KD_CUDA(cudaEventRecord(stop.get(), stream));
    KD_CUDA(cudaEventSynchronize(stop.get()));
    float milliseconds = 0;
    KD_CUDA(cudaEventElapsedTime(&milliseconds, start.get(), stop.get()));
    best = std::min(best, milliseconds / kRunsPerRound);
  }
  return best;
}

}  // namespace

PlanPtr fastest(std::span<const PlanPtr> plans, const Pattern& pattern, cudnnHandle_t handle) {
  if (plans.size() == 1) return plans[0];
  StreamHandle stream;
  KD_CUDA(cudaStreamCreateWithFlags(stream.out(), cudaStreamNonBlocking));
  std::vector<Memory> memory;
  std::vector<void*> pointers;
  for (const TensorDesc& desc : pattern.tensors()) {
    memory.push_back(allocate(desc.bytes(), stream.get()));
    if (memory.back().get() == nullptr) return plans[0];
    pointers.push_back(memory.back().get());
  }
  KD_CUDNN(cudnnSetStream(handle, stream.get()));
  PlanPtr winner = plans[0];
  float best = std::numeric_limits<float>::max();
  for (const PlanPtr& plan : plans) {
    const Memory workspace = allocate(plan->workspace(), stream.get());
    if (workspace.get() == nullptr) continue;
    PlanRun run(plan);
    const float time = time_of(run, handle, stream.get(), pointers, workspace.get());
    if (time < kWorthIt * best) best = time, winner = plan;
  }
  KD_CUDA(cudaStreamSynchronize(stream.get()));
  KD_CUDNN(cudnnSetStream(handle, nullptr));
  return winner;
}

}  // namespace kd::cuda
