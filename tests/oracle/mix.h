// Pictures of a batch mixed with one another.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

// x (N, H, W, C), partners (N), shares (N), boxes (N, 4) = top, left, height, width.
Array mix_images(const Array& x, const Array& partners, const Array& shares, const Array& boxes);

}  // namespace kd::oracle
