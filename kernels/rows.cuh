// Rows of K elements among groups of threads: which 16-byte tiles of a row there are, reading and
// writing them, and reductions over the group.
//
// A row of odd length starts anywhere, so its tiles are those of memory, not of the row: `shift`
// elements before its start belong to its first tile. Whole tiles are one access; the first and
// the last may be partial, and are read element by element. If a base pointer is not aligned, all
// tiles are.
#pragma once

#include "kernels/reduce.cuh"
#include "kernels/vec.cuh"

namespace kd::kernels {

template <class T>
using Tile = Vec<T, kVec<T>>;

template <class T>
struct RowTiles {
  static constexpr int kElements = kVec<T>;
  int64_t start = 0;  // of the row, in elements
  int length = 0, shift = 0;
  bool aligned = false;

  __device__ RowTiles(int64_t row, int64_t row_length, bool is_aligned)
      : start(row * row_length),
        length(static_cast<int>(row_length)),
        shift(is_aligned ? static_cast<int>(start % kElements) : 0),
        aligned(is_aligned) {}
  __device__ int count() const { return (length + shift + kElements - 1) / kElements; }
  __device__ int first(int tile) const { return tile * kElements - shift; }  // its element
  __device__ bool contains(int k) const { return k >= 0 && k < length; }
  __device__ bool is_whole(int k) const { return aligned && k >= 0 && k <= length - kElements; }
  // The tile whose first element is k of the row; `otherwise` where it leaves the row.
  __device__ Tile<T> read(const T* data, int k, T otherwise) const {
    const T* row = data + start;
    if (is_whole(k)) return load<kElements>(row + k);
    Tile<T> tile;
#pragma unroll
    for (int i = 0; i < kElements; ++i) tile.at[i] = contains(k + i) ? row[k + i] : otherwise;
    return tile;
  }
  __device__ void write(T* data, int k, const Tile<T>& tile) const {
    T* row = data + start;
    if (is_whole(k)) return store(row + k, tile);
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      if (contains(k + i)) row[k + i] = tile.at[i];
    }
  }
};

// The most elements that `tiles` tiles hold of a row of any alignment.
template <class T>
constexpr int64_t elements_in(int64_t tiles, int64_t row_length) {
  return tiles * kVec<T> - (row_length % kVec<T> == 0 ? 0 : kVec<T> - 1);
}

// Dynamic shared memory that a block of the current device may ask for, beside a few static arrays.
inline size_t usable_shared_bytes() {
  constexpr size_t kStatic = 4 << 10;
#if defined(__CUDACC__)
  static const size_t bytes = [] {
    int device = 0, most = 48 << 10;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    return static_cast<size_t>(most);
  }();
#else
  constexpr size_t bytes = 227 << 10;
#endif
  return bytes - kStatic;
}

// Each of kCount values over groups of kThreads threads: neighbouring lanes, or the whole block of
// that size. All get the results.
template <int kThreads, class V, int kCount, class Combine>
__device__ void group_reduce(V (&values)[kCount], Combine combine) {
  if constexpr (kThreads <= kWarp) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] = warp_reduce<kThreads>(values[i], combine);
  } else {
    constexpr int kWarps = kThreads / kWarp;
    KD_SHARED(V, parts, kCount * kWarps);
    KD_SHARED(V, totals, kCount);
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const V of_warp = warp_reduce(values[i], combine);
      if (lane == 0) parts[i * kWarps + warp] = of_warp;
    }
    __syncthreads();
    for (int i = warp; i < kCount; i += kWarps) {  // each warp finishes some of them
      const V total = warp_reduce<kWarps>(parts[i * kWarps + lane % kWarps], combine);
      if (lane == 0) totals[i] = total;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] = totals[i];
    __syncthreads();  // both may be written again
  }
}

}  // namespace kd::kernels
