#include "oracle/images.h"

namespace kd::oracle {

Array place_images(const Array& pixels, const Array& placements, const Array& table,
                   const ImageSize& size) {
  Array y = Array::zeros({pixels.dim(0), size.height, size.width, size.channels});
  for (int64_t n = 0; n < pixels.dim(0); ++n) {
    const auto place = [&](int64_t i) { return static_cast<int64_t>(placements.at(n * 3 + i)); };
    const int64_t top = place(0), left = place(1);
    const bool mirrored = place(2) != 0;
    // Each pixel of the crop is put where it goes, the other way round than a gather would.
    for (int64_t h = top; h < top + size.height; ++h) {
      for (int64_t w = left; w < left + size.width; ++w) {
        const bool inside = h >= 0 && h < pixels.dim(1) && w >= 0 && w < pixels.dim(2);
        const int64_t column = mirrored ? left + size.width - 1 - w : w - left;
        for (int64_t c = 0; c < pixels.dim(3); ++c) {
          const double byte = inside ? pixels.at(n, h, w, c) : 0;
          const auto channel = static_cast<int64_t>(table.at(c * 257 + 256));
          y.at(n, h - top, column, channel) = table.at(c * 257 + static_cast<int64_t>(byte));
        }
      }
    }
  }
  return y;
}

}  // namespace kd::oracle
