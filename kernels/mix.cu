#include "kernels/mix.h"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = 256;

struct Box {
  int64_t top, left, height, width;

  __device__ bool holds(int64_t row, int64_t column) const {
    return row >= top && row < top + height && column >= left && column < left + width;
  }
};

// Element `first` and those after it, walked through pixel by pixel: one division a vector.
template <int kCount, class T>
__device__ Vec<T, kCount> pasted(const Vec<T, kCount>& own, const Vec<T, kCount>& partner,
                                 const MixArgs& args, const Box& box, int64_t first) {
  const int64_t pixel = first / args.channels;
  int64_t channel = first - pixel * args.channels;
  int64_t row = pixel / args.width, column = pixel - row * args.width;
  Vec<T, kCount> made;
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    made.at[k] = box.holds(row, column) ? partner.at[k] : own.at[k];
    if (++channel < args.channels) continue;
    channel = 0;
    if (++column < args.width) continue;
    column = 0;
    ++row;
  }
  return made;
}

template <int kCount, class T>
__device__ Vec<T, kCount> blended(const Vec<T, kCount>& own, const Vec<T, kCount>& partner,
                                  float share) {
  Vec<T, kCount> made;
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    made.at[k] = from_float<T>(share * to_float(own.at[k]) + (1 - share) * to_float(partner.at[k]));
  }
  return made;
}

// Grid: tiles of every picture.
template <int kCount, class T>
__global__ void __launch_bounds__(kThreads) mix(const MixArgs args, int64_t tiles) {
  const int64_t image = blockIdx.x / tiles;
  const int64_t size = args.height * args.width * args.channels;
  const int64_t first = ((blockIdx.x - image * tiles) * kThreads + threadIdx.x) * kCount;
  if (first >= size) return;
  const auto* x = static_cast<const T*>(args.x);
  const auto own = load<kCount>(x + image * size + first);
  const auto partner = load<kCount>(x + args.partners[image] * size + first);
  const int32_t* of_box = args.boxes + image * 4;
  const Box box{of_box[0], of_box[1], of_box[2], of_box[3]};
  store(static_cast<T*>(args.y) + image * size + first,
        box.height > 0 ? pasted(own, partner, args, box, first)
                       : blended(own, partner, args.shares[image]));
}

}  // namespace

void mix_images(StreamRef stream, const MixArgs& args) {
  const int64_t size = args.height * args.width * args.channels;
  if (args.images == 0 || size == 0) return;
  with_float_type(args.type, [&](auto of) {
    using T = decltype(of);
    const bool vectors = is_aligned<kVec<T>>(static_cast<const T*>(args.x), size) &&
                         is_aligned<kVec<T>>(static_cast<const T*>(args.y));
    const int64_t tiles = divided_up(size, kThreads * (vectors ? kVec<T> : 1));
    launch(stream, {{args.images * tiles}, {kThreads}}, vectors ? mix<kVec<T>, T> : mix<1, T>, args,
           tiles);
  });
}

}  // namespace kd::kernels
