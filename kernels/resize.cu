#include "kernels/resize.h"
#include "kernels/resize_taps.h"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = 128;

// kCount: channels of a thread. Grid: rows of y.
template <int kCount, class T>
__global__ void __launch_bounds__(kThreads) resize(const ResizeArgs args) {
  const unsigned image = blockIdx.x / static_cast<unsigned>(args.made_height);
  const auto row = static_cast<int>(blockIdx.x - image * static_cast<unsigned>(args.made_height));
  const ResizeTaps down(args.height, args.made_height, row);
  const int64_t line = int64_t{args.width} * args.channels;
  const T* from = static_cast<const T*>(args.x) + int64_t{image} * args.height * line;
  T* to = static_cast<T*>(args.y) + int64_t{blockIdx.x} * args.made_width * args.channels;
  const int groups = args.channels / kCount, vectors = args.made_width * groups;
  for (int item = static_cast<int>(threadIdx.x); item < vectors; item += kThreads) {
    const int column = item / groups, channel = (item - column * groups) * kCount;
    const ResizeTaps right(args.width, args.made_width, column);
    float sum[kCount] = {};
    for (int h = down.first(); h < down.last(); ++h) {
      const T* x = from + h * line + channel;
      float along[kCount] = {};
      for (int w = right.first(); w < right.last(); ++w) {
        const auto values = load<kCount>(x + int64_t{w} * args.channels);
        const float weight = right.weight(w);
#pragma unroll
        for (int k = 0; k < kCount; ++k) along[k] += weight * to_float(values.at[k]);
      }
      const float weight = down.weight(h);
#pragma unroll
      for (int k = 0; k < kCount; ++k) sum[k] += weight * along[k];
    }
    Vec<T, kCount> made;
#pragma unroll
    for (int k = 0; k < kCount; ++k) made.at[k] = from_float<T>(sum[k]);
    store(to + int64_t{item} * kCount, made);
  }
}

template <int kCount, class T>
bool in_vectors_of(const ResizeArgs& args) {
  return is_aligned<kCount>(static_cast<const T*>(args.x), args.channels) &&
         is_aligned<kCount>(static_cast<const T*>(args.y));
}

}  // namespace

void resize_images(StreamRef stream, const ResizeArgs& args) {
  if (args.images == 0 || args.channels == 0) return;
  const Grid grid{{args.images * args.made_height}, {kThreads}};
  with_float_type(args.type, [&](auto of) {
    using T = decltype(of);
    if (in_vectors_of<kVec<T>, T>(args)) {
      launch(stream, grid, resize<kVec<T>, T>, args);
    } else if (in_vectors_of<4, T>(args)) {
      launch(stream, grid, resize<4, T>, args);
    } else {
      launch(stream, grid, resize<1, T>, args);
    }
  });
}

}  // namespace kd::kernels
