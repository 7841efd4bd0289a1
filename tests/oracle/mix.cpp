#include "oracle/mix.h"

namespace kd::oracle {

// Everything is blended, with a share of 0 or 1 for each pixel where there is a box.
Array mix_images(const Array& x, const Array& partners, const Array& shares, const Array& boxes) {
  Array y = Array::zeros(x.shape);
  for (int64_t n = 0; n < x.dim(0); ++n) {
    const auto partner = static_cast<int64_t>(partners.at(n));
    const double top = boxes.at(n * 4), left = boxes.at(n * 4 + 1);
    const double height = boxes.at(n * 4 + 2), width = boxes.at(n * 4 + 3);
    for (int64_t h = 0; h < x.dim(1); ++h) {
      for (int64_t w = 0; w < x.dim(2); ++w) {
        const double down = static_cast<double>(h) - top, right = static_cast<double>(w) - left;
        const bool inside = down >= 0 && down < height && right >= 0 && right < width;
        const double share = height <= 0 ? shares.at(n) : inside ? 0 : 1;
        for (int64_t c = 0; c < x.dim(3); ++c) {
          y.at(n, h, w, c) = share * x.at(n, h, w, c) + (1 - share) * x.at(partner, h, w, c);
        }
      }
    }
  }
  return y;
}

}  // namespace kd::oracle
