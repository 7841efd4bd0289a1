// Pictures of a batch mixed with one another, or resized.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

// x (N, H, W, C), partners (N), shares (N), boxes (N, 4) = top, left, height, width.
Array mix_images(const Array& x, const Array& partners, const Array& shares, const Array& boxes);
// x (N, H, W, C) -> (N, height, width, C), one side after the other.
Array resize_images(const Array& x, int64_t height, int64_t width);

}  // namespace kd::oracle
