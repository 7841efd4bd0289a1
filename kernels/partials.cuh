// The sum of a gradient's partial squares, as every kernel that asks adds them up.
#pragma once

#include "kernels/optimizer.h"
#include "kernels/reduce.cuh"

namespace kd::kernels {

constexpr int kSquareThreads = 256;

// In one order in every block of kSquareThreads, so that all decide alike.
__device__ inline float sum_of_partials(const float* squares) {
  static_assert(kSquarePartials == kSquareThreads * 4);
  float sum = 0;
#pragma unroll
  for (int k = 0; k < 4; ++k) sum += squares[threadIdx.x * 4 + k];
  return block_reduce<kSquareThreads>(sum, Sum());
}
__device__ inline bool is_finite(float sum) { return sum - sum == 0; }

}  // namespace kd::kernels
