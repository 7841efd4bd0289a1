// A host that runs kernels: each thread of a block is a fiber. It stands in for CUDA's device code
// where kernels/*.cu are compiled as plain C++ (KD_SIMT), to find wrong maths, wrong tails, missing
// barriers and accesses out of bounds without a GPU.
//
// Scheduling is made to hurt: warps run one after another, in random order, each as far as the next
// block barrier, and so do lanes between warp operations. A barrier releases only threads that wait
// at the same source line; a thread that has returned before a barrier, or a lane missing from a
// warp operation, is an error. Shared memory is a fresh block of NaNs for every thread block.
#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>

#ifndef KD_SIMT
#error "simt.h replaces CUDA in tests only"
#endif

namespace kd::simt {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

// What a running thread sees.
struct Thread {
  Index thread, block, block_dim, grid_dim;
};
const Thread& current();

// `where` is the source line; both throw nothing and never return on error: the launch throws.
void block_barrier(const char* where);
void warp_barrier(unsigned mask, const char* where);
// Publishes 8 bytes for the lanes of `mask`, waits for them, and returns lane `source`'s.
uint64_t exchange(unsigned mask, uint64_t bits, int source, const char* where);
unsigned ballot(unsigned mask, bool predicate, const char* where);
int lane();
// Shared memory of the running block, one piece for each `id`.
void* shared(const void* id, size_t bytes);
void* dynamic_shared();

// Fixes the order in which the coming launches run their blocks, warps and lanes.
void seed(uint64_t value);
// Runs blocks one after another; throws kernels::LaunchError naming what a real device would hang
// on.
void run(const kernels::Grid& grid, const std::function<void()>& body);

struct LaunchRecord {  // for tests of launch shapes
  int64_t launches = 0, blocks = 0, threads = 0;
};
LaunchRecord& record();

}  // namespace kd::simt

#define KD_SIMT_STRING_(x) #x
#define KD_SIMT_STRING(x) KD_SIMT_STRING_(x)
#define KD_SIMT_HERE __FILE__ ":" KD_SIMT_STRING(__LINE__)

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::kd::simt::current().thread)
#define blockIdx (::kd::simt::current().block)
#define blockDim (::kd::simt::current().block_dim)
#define gridDim (::kd::simt::current().grid_dim)
#define __syncthreads() ::kd::simt::block_barrier(KD_SIMT_HERE)
#define __syncwarp(...) ::kd::simt::warp_barrier(0xffffffffu, KD_SIMT_HERE)
#define __shfl_sync(mask, value, from) ::kd::simt::shuffle(mask, value, from, KD_SIMT_HERE)
#define __shfl_xor_sync(mask, value, with) \
  ::kd::simt::shuffle(mask, value, ::kd::simt::lane() ^ (with), KD_SIMT_HERE)
#define __shfl_down_sync(mask, value, by) \
  ::kd::simt::shuffle(mask, value, ::kd::simt::lane() + (by), KD_SIMT_HERE)
#define __shfl_up_sync(mask, value, by) \
  ::kd::simt::shuffle(mask, value, ::kd::simt::lane() - (by), KD_SIMT_HERE)
#define __ballot_sync(mask, predicate) ::kd::simt::ballot(mask, (predicate) != 0, KD_SIMT_HERE)
#define __any_sync(mask, predicate) (__ballot_sync(mask, predicate) != 0)
#define __all_sync(mask, predicate) (__ballot_sync(mask, !(predicate)) == 0)
#define __threadfence() ((void)0)
#define __popc(x) std::popcount(static_cast<unsigned>(x))

#define KD_SHARED(T, name, n)       \
  static const char name##_id_ = 0; \
  T* const name = static_cast<T*>(::kd::simt::shared(&name##_id_, sizeof(T) * (n)))
#define KD_DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(::kd::simt::dynamic_shared())

namespace kd::simt {

// A lane out of range keeps its own value, as on the device.
template <class T>
T shuffle(unsigned mask, T value, int source, const char* where) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const uint64_t got = exchange(mask, bits, source < 0 || source > 31 ? lane() : source, where);
  std::memcpy(&value, &got, sizeof(T));
  return value;
}

}  // namespace kd::simt

// Device functions that a kernel may call. Blocks run one at a time, so plain updates are atomic.
template <class T>
T atomicAdd(T* at, T value) {
  return std::exchange(*at, static_cast<T>(*at + value));
}
template <class T>
T atomicOr(T* at, T value) {
  return std::exchange(*at, static_cast<T>(*at | value));
}
template <class T>
T atomicMax(T* at, T value) {
  return std::exchange(*at, *at < value ? value : *at);
}
template <class T>
T __ldg(const T* at) {
  return *at;
}
template <class T>
T __ldcs(const T* at) {
  return *at;
}
template <class T>
void __stcs(T* at, T value) {
  *at = value;
}
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((uint64_t{a} * b) >> 32);
}

namespace kd::kernels {

template <class... Parameters, class... Arguments>
void launch(StreamRef, const Grid& grid, void (*kernel)(Parameters...), Arguments&&... arguments) {
  const std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  simt::run(grid, [&] { std::apply(kernel, values); });
}

}  // namespace kd::kernels
