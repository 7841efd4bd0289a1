#include "kernels/mask.h"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kBits = 8;

// Elements [8 item, 8 item + 8) of x, zeros beyond `count`.
template <bool kVector, class T>
__device__ Vec<T, kBits> eight(const T* __restrict__ x, int64_t item, int64_t count) {
  if (kVector && (item + 1) * kBits <= count) return load<kBits>(x + item * kBits);
  Vec<T, kBits> result;
#pragma unroll
  for (int i = 0; i < kBits; ++i) {
    const int64_t at = item * kBits + i;
    result.at[i] = at < count ? x[at] : from_float<T>(0);
  }
  return result;
}

template <class T, bool kVector>
__global__ void sign_mask_kernel(const T* __restrict__ y, uint8_t* __restrict__ mask,
                                 int64_t count) {
  for (int64_t item = first_item(); item * kBits < count; item += item_step()) {
    const Vec<T, kBits> v = eight<kVector>(y, item, count);
    unsigned bits = 0;
#pragma unroll
    for (int i = 0; i < kBits; ++i) bits |= to_float(v.at[i]) > 0 ? 1u << i : 0u;
    mask[item] = static_cast<uint8_t>(bits);
  }
}

template <class T, bool kVector>
__global__ void apply_mask_kernel(const T* dy, const uint8_t* __restrict__ mask, T* dx,
                                  int64_t count) {  // dx may be dy
  for (int64_t item = first_item(); item * kBits < count; item += item_step()) {
    Vec<T, kBits> v = eight<kVector>(dy, item, count);
    const unsigned bits = mask[item];
#pragma unroll
    for (int i = 0; i < kBits; ++i) {
      if ((bits >> i & 1) == 0) v.at[i] = from_float<T>(0);
    }
    if (kVector && (item + 1) * kBits <= count) {
      store(dx + item * kBits, v);
      continue;
    }
#pragma unroll
    for (int i = 0; i < kBits; ++i) {
      if (item * kBits + i < count) dx[item * kBits + i] = v.at[i];
    }
  }
}

}  // namespace

void sign_mask(StreamRef stream, const SignMask& args) {
  with_float_type(args.type, [&]<class T>(T) {
    const auto* y = static_cast<const T*>(args.y);
    const auto kernel =
        is_aligned<kBits>(y) ? sign_mask_kernel<T, true> : sign_mask_kernel<T, false>;
    launch(stream, grid_for(divided_up(args.count, kBits)), kernel, y, args.mask, args.count);
  });
}

void apply_mask(StreamRef stream, const ApplyMask& args) {
  with_float_type(args.type, [&]<class T>(T) {
    const auto* dy = static_cast<const T*>(args.dy);
    auto* dx = static_cast<T*>(args.dx);
    const bool vector = is_aligned<kBits>(dy) && is_aligned<kBits>(dx);
    const auto kernel = vector ? apply_mask_kernel<T, true> : apply_mask_kernel<T, false>;
    launch(stream, grid_for(divided_up(args.count, kBits)), kernel, dy, args.mask, dx, args.count);
  });
}

}  // namespace kd::kernels
