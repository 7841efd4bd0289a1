// The one include of a kernel file: CUDA under nvcc, the SIMT shim of tests/simt under a host
// compiler. No kernel is written twice, and every launch goes through launch().
#pragma once

#include <stdexcept>
#include <string>

#include "kernels/types.h"

namespace kd::kernels {

struct Dim {
  int64_t x = 1, y = 1, z = 1;
};
// How a kernel is launched: blocks, threads a block, bytes of dynamic shared memory.
struct Grid {
  Dim blocks;
  Dim threads;
  size_t shared_bytes = 0;
};

struct LaunchError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

KD_HOST_DEVICE constexpr int64_t divided_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace kd::kernels

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

// n elements of shared memory, not initialised.
#define KD_SHARED(T, name, n) __shared__ T name[n]
// The launch's Grid::shared_bytes, as elements of T, aligned to 16 bytes.
#define KD_DYNAMIC_SHARED(T, name)                         \
  extern __shared__ __align__(16) unsigned char kd_dyn_[]; \
  T* name = reinterpret_cast<T*>(kd_dyn_)

namespace kd::kernels {

template <class... Parameters, class... Arguments>
void launch(StreamRef stream, const Grid& grid, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  const auto dim = [](const Dim& d) {
    return dim3(static_cast<unsigned>(d.x), static_cast<unsigned>(d.y), static_cast<unsigned>(d.z));
  };
  cudaLaunchConfig_t config{};
  config.gridDim = dim(grid.blocks);
  config.blockDim = dim(grid.threads);
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream.handle);
  constexpr size_t kFreeShared = 48 << 10;  // more must be asked for
  cudaError_t status = cudaSuccess;
  if (grid.shared_bytes > kFreeShared) {
    status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(grid.shared_bytes));
  }
  if (status == cudaSuccess) {
    status = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  }
  if (status != cudaSuccess) {
    throw LaunchError(std::string("CUDA: a kernel could not be launched: ") +
                      cudaGetErrorString(status));
  }
}

}  // namespace kd::kernels

#else

#include "simt/simt.h"

#endif
