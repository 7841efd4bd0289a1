// Pictures of a batch mixed with one another. x (N, H, W, C); partners i32 (N) in [0, N); shares
// f32 (N); boxes i32 (N, 4) = top, left, height, width. y[n] is, where box n has a height,
// x[partners[n]] inside it and x[n] outside, copied exactly; otherwise
// shares[n] x[n] + (1 - shares[n]) x[partners[n]], in float.
// Bytes: x twice (the partners' from the cache where the batch fits it), y once.
// Threads: a vector of 16 bytes of one picture; pictures that are no whole number of vectors, or
// not aligned, go one element at a time.
// NaN and -inf of either picture are in a blend, even with share 0; in a pasted picture only where
// they are.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

struct MixArgs {
  Type type = Type::f32;  // of x and y
  const void* x = nullptr;
  const int32_t* partners = nullptr;
  const float* shares = nullptr;
  const int32_t* boxes = nullptr;
  void* y = nullptr;  // not x
  int64_t images = 0;
  int64_t height = 0, width = 0, channels = 0;
};
void mix_images(StreamRef stream, const MixArgs& args);

}  // namespace kd::kernels
