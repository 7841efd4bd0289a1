// The pixels that bilinear resizing with antialiasing reads for one pixel of its result, along one
// side, shared by every engine. With s = from / to the weight of pixel j in result i is
//   max(0, 1 - |j + 1/2 - s (i + 1/2)| / max(1, s)), divided by the sum of those there are.
// Times 2 max(from, to) all of it is whole numbers, so no position is rounded:
//   2 max(from, to) - |(2 j + 1) to - (2 i + 1) from|
// Pixels of weight 0 are not among the taps. Lengths to kLongestSide: 32
// bits hold them.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

constexpr int32_t kLongestSide = 1 << 14;

class ResizeTaps {
 public:
  KD_HOST_DEVICE ResizeTaps(int32_t from, int32_t to, int32_t at)
      : to_(to), centre_((2 * at + 1) * from), reach_(2 * (from > to ? from : to)) {
    const int32_t below = centre_ - reach_ - to, above = centre_ + reach_ - to;
    first_ = below < 0 ? 0 : below / (2 * to) + 1;
    last_ = (above - 1) / (2 * to) + 1;
    if (last_ > from) last_ = from;
    int32_t total = 0;
    for (int32_t j = first_; j < last_; ++j) total += whole(j);
    total_ = static_cast<float>(total);
  }

  // The pixels in [first, last), at least one.
  KD_HOST_DEVICE int32_t first() const { return first_; }
  KD_HOST_DEVICE int32_t last() const { return last_; }
  KD_HOST_DEVICE float weight(int32_t j) const { return static_cast<float>(whole(j)) / total_; }

 private:
  KD_HOST_DEVICE int32_t whole(int32_t j) const {
    const int32_t distance = (2 * j + 1) * to_ - centre_;
    return reach_ - (distance < 0 ? -distance : distance);
  }

  int32_t to_, centre_, reach_, first_, last_;
  float total_;
};

}  // namespace kd::kernels
