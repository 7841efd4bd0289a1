// Reductions over a warp and over a block, in a fixed order: the same input gives the same bits.
// Every lane of the warp, or thread of the block, must take part; all get the result.
#pragma once

#include "kernels/numeric.cuh"

namespace kd::kernels {

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {  // NaN wins
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};
struct Min {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};

// Over groups of kWidth neighbouring lanes (a power of two).
template <int kWidth = kWarp, class T, class Combine>
__device__ T warp_reduce(T value, Combine combine) {
#pragma unroll
  for (int with = kWidth / 2; with > 0; with /= 2) {
    value = combine(value, __shfl_xor_sync(kAllLanes, value, with));
  }
  return value;
}

// Over a block of kThreads (a multiple of 32, one-dimensional). May be called again at once.
template <int kThreads, class T, class Combine>
__device__ T block_reduce(T value, Combine combine) {
  constexpr int kWarps = kThreads / kWarp;
  static_assert(kThreads % kWarp == 0 && kWarps <= kWarp);
  value = warp_reduce(value, combine);
  if constexpr (kWarps == 1) return value;
  KD_SHARED(T, of_warp, kWarps);
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
  __syncthreads();
  T total = of_warp[0];
#pragma unroll
  for (int warp = 1; warp < kWarps; ++warp) total = combine(total, of_warp[warp]);
  __syncthreads();  // of_warp may be written again
  return total;
}

}  // namespace kd::kernels
