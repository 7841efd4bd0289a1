// Changes of a picture's colours, shared by colour jitter and RandAugment. Each value moves away
// from another picture by a factor: 1 changes nothing, 0 gives the other picture, > 1 exaggerates.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kd/data.h"

namespace kd {

inline uint8_t to_byte(double value) {  // halves are rounded up
  return static_cast<uint8_t>(std::clamp(value + 0.5, 0.0, 255.0));
}

void adjust_brightness(Image& image, double factor);  // from black
void adjust_contrast(Image& image, double factor);    // from the mean of the grey picture
void adjust_saturation(Image& image, double factor);  // from the grey picture (BT.601 luma)

}  // namespace kd
