// What statistics and gradients of batch norm share: partial sums of two quantities a channel, and
// where they lie in the workspace: (partials, 2, C), the shift (C), then scratch (3, C).
#pragma once

#include "kernels/channel_tile.cuh"
#include "kernels/norm.h"

namespace kd::kernels {

constexpr int kRowsAtOnce = 4;       // rows whose loads a thread has in flight
constexpr int kApplyRowsAtOnce = 2;  // beside the channels' constants, what 64 registers hold

inline bool has_groups(int64_t channels) { return channels % kGroup == 0; }

template <int kCount>
Grid sums_grid(int64_t rows, int64_t channels) {
  return tile_grid(rows, channels / kCount, kRowsAtOnce, kTileBlocks);
}
template <int kCount>
Grid apply_grid(int64_t rows, int64_t channels) {
  return tile_grid(rows, channels / kCount, kRowsAtOnce, 8 * kTileBlocks);
}

inline int64_t most_partials(const NormShape& shape) {
  const int64_t one = sums_grid<1>(shape.rows, shape.channels).blocks.x;
  if (!has_groups(shape.channels)) return one;
  const int64_t group = sums_grid<kGroup>(shape.rows, shape.channels).blocks.x;
  return one > group ? one : group;
}

// This block's sums, then `sums` of threadIdx.y == 0 to partial blockIdx.x.
template <int kCount>
__device__ void store_sums(float (&sums)[2 * kCount], int64_t group, int64_t channels,
                           float* __restrict__ partials) {
  sum_over_tile_rows(sums);
  if (threadIdx.y != 0 || group * kCount >= channels) return;
  float* to = partials + static_cast<int64_t>(blockIdx.x) * 2 * channels + group * kCount;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    to[i] = sums[i];
    to[channels + i] = sums[kCount + i];
  }
}

// Finalize kernels: 8 channels by 32 partials a block.
constexpr int kFinalChannels = 8, kFinalRows = 32;
inline Grid final_grid(int64_t channels) {
  return {{divided_up(channels, kFinalChannels)}, {kFinalChannels, kFinalRows}};
}

struct Totals {
  double sum, square;
};
// The totals of this thread's channel, in threadIdx.y == 0. Every thread must take part.
__device__ inline Totals sum_partials(const NormSums& sums, int64_t channel, int64_t channels) {
  KD_SHARED(double, of_thread, 2 * kFinalChannels * kFinalRows);
  double sum = 0, square = 0;
  if (channel < channels) {
#pragma unroll 4
    for (int64_t p = threadIdx.y; p < sums.partials; p += kFinalRows) {
      sum += static_cast<double>(sums.sum[p * sums.stride + channel]);
      square += static_cast<double>(sums.square[p * sums.stride + channel]);
    }
  }
  const unsigned at = 2 * (threadIdx.y * kFinalChannels + threadIdx.x);
  of_thread[at] = sum, of_thread[at + 1] = square;
  __syncthreads();
#pragma unroll
  for (unsigned half = kFinalRows / 2; half > 0; half /= 2) {
    if (threadIdx.y < half) {
      of_thread[at] = sum += of_thread[at + 2 * half * kFinalChannels];
      of_thread[at + 1] = square += of_thread[at + 2 * half * kFinalChannels + 1];
    }
    __syncthreads();
  }
  return {sum, square};
}

}  // namespace kd::kernels
