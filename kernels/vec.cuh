// Vectors of up to 16 bytes: one load or store instruction for several elements.
#pragma once

#include "kernels/numeric.cuh"

namespace kd::kernels {

template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Vec {
  T at[kCount];
};

// Elements of T in 16 bytes.
template <class T>
constexpr int kVec = 16 / static_cast<int>(sizeof(T));

// `from` and `to` must be aligned to the vector's size.
template <int kCount, class T>
KD_HOST_DEVICE Vec<T, kCount> load(const T* from) {
  return *reinterpret_cast<const Vec<T, kCount>*>(from);
}
template <int kCount, class T>
KD_HOST_DEVICE void store(T* to, const Vec<T, kCount>& value) {
  *reinterpret_cast<Vec<T, kCount>*>(to) = value;
}

// May rows of `length` elements at `data` be read kCount at a time?
template <int kCount, class T>
bool is_aligned(const T* data, int64_t length = 0) {
  return reinterpret_cast<uintptr_t>(data) % (sizeof(T) * kCount) == 0 && length % kCount == 0;
}

// A one-dimensional grid for a loop over `count` items in steps of the whole grid.
inline Grid grid_for(int64_t count, int threads = 256, int64_t most_blocks = 1 << 16) {
  const int64_t blocks = divided_up(count, threads);
  return {{blocks < 1 ? 1 : blocks < most_blocks ? blocks : most_blocks}, {threads}};
}
// The first item of this thread, and the step between its items.
__device__ inline int64_t first_item() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t item_step() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

}  // namespace kd::kernels
