#include "kernels/resize.h"
#include "kernels/resize_taps.h"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = 256;

// kCount: channels of a thread. Grid: vectors of y, in steps of the whole grid.
template <int kCount, class T>
__global__ void __launch_bounds__(kThreads) resize(const ResizeArgs args, int64_t vectors) {
  const int64_t groups = args.channels / kCount;
  for (int64_t item = first_item(); item < vectors; item += item_step()) {
    const int64_t pixel = item / groups, channel = (item - pixel * groups) * kCount;
    const int64_t line = pixel / args.made_width, column = pixel - line * args.made_width;
    const int64_t image = line / args.made_height, row = line - image * args.made_height;
    const ResizeTaps down(args.height, args.made_height, row);
    const ResizeTaps right(args.width, args.made_width, column);
    float sum[kCount] = {};
    for (int64_t h = down.first(); h < down.last(); ++h) {
      const auto* x = static_cast<const T*>(args.x) +
                      (image * args.height + h) * args.width * args.channels + channel;
      float along[kCount] = {};
      for (int64_t w = right.first(); w < right.last(); ++w) {
        const auto values = load<kCount>(x + w * args.channels);
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
    store(static_cast<T*>(args.y) + item * kCount, made);
  }
}

template <int kCount, class T>
bool in_vectors_of(const ResizeArgs& args) {
  return is_aligned<kCount>(static_cast<const T*>(args.x), args.channels) &&
         is_aligned<kCount>(static_cast<const T*>(args.y));
}

}  // namespace

void resize_images(StreamRef stream, const ResizeArgs& args) {
  const int64_t elements = args.images * args.made_height * args.made_width * args.channels;
  if (elements == 0) return;
  with_float_type(args.type, [&](auto of) {
    using T = decltype(of);
    const auto run = [&](auto* kernel, int count) {
      const int64_t vectors = elements / count;
      launch(stream, grid_for(vectors, kThreads), kernel, args, vectors);
    };
    if (in_vectors_of<kVec<T>, T>(args)) {
      run(resize<kVec<T>, T>, kVec<T>);
    } else if (in_vectors_of<4, T>(args)) {
      run(resize<4, T>, 4);
    } else {
      run(resize<1, T>, 1);
    }
  });
}

}  // namespace kd::kernels
