// CUDA's objects as values, and the checks around its calls.
#pragma once

#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <iostream>
#include <utility>

#include "kd/error.h"

// Throws Error{device} naming the call and the library's reason.
#define KD_CUDA(call) ::kd::cuda::check((call), #call)
#define KD_CUDNN(call) ::kd::cuda::check((call), #call)

namespace kd::cuda {

inline void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  fail(ErrorCode::device, "CUDA: {}: {} ({})", call, cudaGetErrorString(status),
       cudaGetErrorName(status));
}

inline void check(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char reason[512] = "";
  cudnnGetLastErrorString(reason, sizeof(reason));
  fail(ErrorCode::device, "cuDNN: {}: {}: {}", call, cudnnGetErrorString(status), reason);
}

// Owns one T, destroyed by `destroy`. A destructor can't throw: what goes wrong there is printed.
template <class T, auto destroy>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T value) : value_(value) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  T get() const { return value_; }
  T* out() { return &value_; }

 private:
  void reset() noexcept {
    if (!value_) return;
    if (const auto status = destroy(value_); static_cast<int>(status) != 0) {
      std::cerr << "kdengine: CUDA: an object could not be destroyed, status "
                << static_cast<int>(status) << std::endl;
    }
  }
  T value_{};
};

using StreamHandle = Handle<cudaStream_t, cudaStreamDestroy>;
using EventHandle = Handle<cudaEvent_t, cudaEventDestroy>;
using GraphHandle = Handle<cudaGraph_t, cudaGraphDestroy>;
using GraphExecHandle = Handle<cudaGraphExec_t, cudaGraphExecDestroy>;
using CudnnHandle = Handle<cudnnHandle_t, cudnnDestroy>;

}  // namespace kd::cuda
