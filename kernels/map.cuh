// Pointwise kernels: y[i] = f(a[i], b[i]). A thread takes kMapUnroll vectors that lie a block
// apart, loads all of them before it stores any, and leaves: 32 to 64 bytes in flight a thread and
// input. y may be where a is. Inputs are read through small classes that know how an operand is
// laid out.
#pragma once

#include "kernels/strided.cuh"
#include "kernels/vec.cuh"

namespace kd::kernels {

constexpr int kMapThreads = 256, kMapUnroll = 2;

template <class T>
struct Flat {  // one element for each of y
  using Element = T;
  const T* data;

  template <int kCount>
  __device__ Vec<T, kCount> load(int64_t vector) const {
    return kernels::load<kCount>(data + vector * kCount);
  }
  __device__ float at(int64_t i) const { return to_float(data[i]); }
};

template <class T>
struct Single {  // one element for all
  using Element = T;
  const T* data;

  template <int kCount>
  __device__ Vec<T, kCount> load(int64_t) const {
    Vec<T, kCount> same;
#pragma unroll
    for (int k = 0; k < kCount; ++k) same.at[k] = data[0];
    return same;
  }
  __device__ float at(int64_t) const { return to_float(data[0]); }
};

template <class T>
struct Anywhere {  // vectors, or elements, of a broadcast operand
  using Element = T;
  const T* data;
  Strided strided;  // of vectors

  template <int kCount>
  __device__ Vec<T, kCount> load(int64_t vector) const {
    return kernels::load<kCount>(data + strided.offset(vector));
  }
  __device__ float at(int64_t) const { return 0; }  // y is whole vectors: there is no tail
};

struct Nothing {
  using Element = float;

  template <int kCount>
  __device__ Vec<float, kCount> load(int64_t) const {
    return {};
  }
  __device__ float at(int64_t) const { return 0; }
};

template <class Y, int kCount, class A, class B, class Function>
__device__ Vec<Y, kCount> mapped(const Vec<A, kCount>& a, const Vec<B, kCount>& b,
                                 const Function& function) {
  float of_a[kCount], of_b[kCount], result[kCount];
#pragma unroll
  for (int k = 0; k < kCount; ++k) of_a[k] = to_float(a.at[k]), of_b[k] = to_float(b.at[k]);
  function(of_a, of_b, result);
  Vec<Y, kCount> made;
#pragma unroll
  for (int k = 0; k < kCount; ++k) made.at[k] = from_float<Y>(result[k]);
  return made;
}

// kCount elements are a vector; those after the last whole one are the first block's.
template <int kCount, class Y, class A, class B, class Function>
__global__ void __launch_bounds__(kMapThreads)
    map(const A a, const B b, Y* y, int64_t count, const Function function) {
  const int64_t vectors = count / kCount;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * (kMapThreads * kMapUnroll) + threadIdx.x;
  Vec<typename A::Element, kCount> of_a[kMapUnroll];
  Vec<typename B::Element, kCount> of_b[kMapUnroll];
#pragma unroll
  for (int u = 0; u < kMapUnroll; ++u) {
    const int64_t vector = first + u * kMapThreads;
    if (vector >= vectors) continue;
    of_a[u] = a.template load<kCount>(vector);
    of_b[u] = b.template load<kCount>(vector);
  }
#pragma unroll
  for (int u = 0; u < kMapUnroll; ++u) {
    const int64_t vector = first + u * kMapThreads;
    if (vector < vectors) store(y + vector * kCount, mapped<Y>(of_a[u], of_b[u], function));
  }
  const int64_t i = vectors * kCount + threadIdx.x;
  if (kCount > 1 && blockIdx.x == 0 && i < count) {
    y[i] = mapped<Y>(Vec<float, 1>{a.at(i)}, Vec<float, 1>{b.at(i)}, function).at[0];
  }
}

template <int kCount, class Y, class A, class B, class Function>
void launch_map(StreamRef stream, const A& a, const B& b, Y* y, int64_t count,
                const Function& function) {
  if (count == 0) return;
  const int64_t vectors = divided_up(count, kCount);
  launch(stream, {{divided_up(vectors, kMapThreads * kMapUnroll)}, {kMapThreads}},
         map<kCount, Y, A, B, Function>, a, b, y, count, function);
}

}  // namespace kd::kernels
