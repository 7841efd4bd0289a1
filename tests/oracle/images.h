// Pictures as network inputs.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

// pixels (N, h, w, C), placements (N, 3), table (C, 257) -> (N, H, W, channels); size = (H, W).
struct ImageSize {
  int64_t height, width, channels;
};
Array place_images(const Array& pixels, const Array& placements, const Array& table,
                   const ImageSize& size);

}  // namespace kd::oracle
