// What kernel headers may use: nothing but this. Compiles with and without the CUDA toolkit.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define KD_HOST_DEVICE __host__ __device__
#else
#define KD_HOST_DEVICE
#endif

namespace kd::kernels {

// The stream a kernel is launched on: a cudaStream_t, which the host build ignores.
struct StreamRef {
  void* handle = nullptr;
};

// Storage of 16-bit floats; arithmetic is done in float (numeric.cuh converts).
struct f16 {
  uint16_t bits;
};
struct bf16 {
  uint16_t bits;
};

// Element types that a launcher can be told at run time. The values are kd::DType's.
enum class Type : uint8_t { f32, f16, bf16, u8, i32, i64 };

}  // namespace kd::kernels
