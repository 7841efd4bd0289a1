// Pictures become network inputs in one pass: crop, mirror, normalise, cast, channels added.
// pixels u8 (N, h, w, C); placements i32 (N, 3) = top, left, mirrored: where the crop lies in the
// picture, pixels outside count as 0; table f32 (C, 257): the values of each channel's bytes, then
// the channel of y they go to. -> y (N, H, W, channels); channels that none goes to are 0.
// Bytes: the pixels of the crops once, y once; no arithmetic: the same bits on every engine.
// Threads: a pixel, four times; the table is in shared memory. 4 and 8 channels are stored as one
// vector.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

constexpr int64_t kMostPixelChannels = 32, kMostImageChannels = 64;

struct ImagesArgs {
  Type type = Type::f32;  // of y
  const uint8_t* pixels = nullptr;
  const int32_t* placements = nullptr;
  const float* table = nullptr;
  void* y = nullptr;
  int64_t images = 0;
  int height = 0, width = 0, pixel_channels = 0;      // h, w, C
  int crop_height = 0, crop_width = 0, channels = 0;  // H, W, channels
};
void place_images(StreamRef stream, const ImagesArgs& args);

}  // namespace kd::kernels
