// Thread blocks over rows of channels, (rows, C): threadIdx.x is a group of neighbouring channels,
// threadIdx.y a row, so that a warp reads whole runs of memory and each thread keeps its channels'
// constants in registers while it walks down the rows.
#pragma once

#include "kernels/vec.cuh"

namespace kd::kernels {

constexpr int kTileThreads = 256;
constexpr int kGroup = 8;  // channels of a thread; 1 where C is not a multiple
// For __launch_bounds__: 64 registers a thread; tighter bounds, which ptxas would choose by itself,
// spill.
constexpr int kBlocksAtOnce = 4;
constexpr int64_t kTileBlocks = 4 * 132;  // enough to fill every multiprocessor of an H100

inline int64_t power_of_two_from(int64_t value) {
  int64_t power = 1;
  while (power < value) power *= 2;
  return power;
}

// `rows_a_thread` rows keep a thread's loads in flight; `most_blocks` bounds the grid.
inline Grid tile_grid(int64_t rows, int64_t groups, int64_t rows_a_thread, int64_t most_blocks) {
  const auto least = [](int64_t a, int64_t b) { return a < b ? a : b; };
  const int64_t across = least(kWarp, power_of_two_from(groups));
  const int64_t down = least(kTileThreads / across, power_of_two_from(rows));
  const int64_t beside = divided_up(groups, across);
  const int64_t wanted = divided_up(rows, down * rows_a_thread);
  const int64_t room = divided_up(most_blocks, beside);
  return {{least(wanted, room), beside}, {across, down}};
}

__device__ inline int64_t tile_group() {
  return static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t tile_row() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
}
__device__ inline int64_t tile_row_step() { return static_cast<int64_t>(gridDim.x) * blockDim.y; }

// The rows of a thread: first, first + step, ... below end.
struct RowWalk {
  int64_t first, step, end;
};
// Blocks side by side through all rows: the last rows are touched last.
__device__ inline RowWalk walk_together(int64_t rows) {
  return {tile_row(), tile_row_step(), rows};
}
// Each block a run of its own, the last run first: what walk_together left in the cache is read
// before it is pushed out.
template <int kAtOnce>
__device__ RowWalk walk_back(int64_t rows) {
  const int64_t whole = static_cast<int64_t>(blockDim.y) * kAtOnce;
  const int64_t run = divided_up(divided_up(rows, gridDim.x), whole) * whole;
  const int64_t begin = static_cast<int64_t>(gridDim.x - 1 - blockIdx.x) * run;
  const int64_t end = begin + run;
  return {begin + threadIdx.y, blockDim.y, end < rows ? end : rows};
}

// use(row, load(row)) for this thread's rows, kAtOnce of them loaded before the first is used.
template <int kAtOnce, class Load, class Use>
__device__ void for_rows(const RowWalk& walk, const Load& load_row, const Use& use) {
  int64_t row = walk.first;
  for (; row + (kAtOnce - 1) * walk.step < walk.end; row += kAtOnce * walk.step) {
    decltype(load_row(row)) loaded[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) loaded[i] = load_row(row + i * walk.step);
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) use(row + i * walk.step, loaded[i]);
  }
  for (; row < walk.end; row += walk.step) use(row, load_row(row));
}

// Sums each of `value` over the rows of the block, in a fixed order; threadIdx.y == 0 has the
// sums. Every thread of the block must take part, once in a kernel.
template <int kValues>
__device__ void sum_over_tile_rows(float (&value)[kValues]) {
  KD_SHARED(float, of_thread, kValues* kTileThreads);
  const unsigned at = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (int i = 0; i < kValues; ++i) of_thread[i * kTileThreads + at] = value[i];
  __syncthreads();
  for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
    if (threadIdx.y < half) {
#pragma unroll
      for (int i = 0; i < kValues; ++i) {
        value[i] += of_thread[i * kTileThreads + at + half * blockDim.x];
        of_thread[i * kTileThreads + at] = value[i];
      }
    }
    __syncthreads();
  }
}

// kCount neighbouring elements as floats.
template <int kCount>
struct Floats {
  float at[kCount];
};
template <int kCount, class T>
__device__ Floats<kCount> to_floats(const Vec<T, kCount>& v) {
  Floats<kCount> result;
#pragma unroll
  for (int i = 0; i < kCount; ++i) result.at[i] = to_float(v.at[i]);
  return result;
}
template <int kCount, class T>
__device__ Vec<T, kCount> from_floats(const Floats<kCount>& v) {
  Vec<T, kCount> result;
#pragma unroll
  for (int i = 0; i < kCount; ++i) result.at[i] = from_float<T>(v.at[i]);
  return result;
}
// Of per-channel vectors, which need no alignment.
template <int kCount>
__device__ Floats<kCount> channel_floats(const float* from, int64_t group) {
  Floats<kCount> result;
#pragma unroll
  for (int i = 0; i < kCount; ++i) result.at[i] = from[group * kCount + i];
  return result;
}

}  // namespace kd::kernels
