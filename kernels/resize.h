// Pictures of a batch resized: x (N, H, W, C) -> y (N, h, w, C), bilinear, antialiased where a side
// shrinks; resize_taps.h has the weights. Both sides at once: each row under the filter is summed
// up along the width, the sums along the height, in float.
// Bytes: x once from memory (4 times from the cache, whatever the scale), y once.
// Blocks: a row of y. Threads: a pixel of it and a vector of its channels, 16 or 8 bytes; one
// channel where C is no whole number of vectors or the pictures are not aligned. NaN and -inf go
// where their pixel has a weight above 0, nowhere else.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

struct ResizeArgs {
  Type type = Type::f32;  // of x and y
  const void* x = nullptr;
  void* y = nullptr;
  int64_t images = 0;
  int channels = 0;
  int height = 0, width = 0;            // of x, 1 to kLongestSide
  int made_height = 0, made_width = 0;  // of y, likewise
};
void resize_images(StreamRef stream, const ResizeArgs& args);

}  // namespace kd::kernels
