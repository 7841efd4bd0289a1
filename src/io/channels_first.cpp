#include "io/channels_first.h"

namespace kd {

std::vector<float> channels_first(std::span<const float> values,
                                  const std::array<int64_t, 4>& nhwc) {
  const size_t area = static_cast<size_t>(nhwc[1] * nhwc[2]),
               channels = static_cast<size_t>(nhwc[3]);
  std::vector<float> moved(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t n = i / (area * channels), place = i / channels % area, c = i % channels;
    moved[(n * channels + c) * area + place] = values[i];
  }
  return moved;
}

}  // namespace kd
