// Elements in the order that other frameworks have them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace kd {

// (N, H, W, C) -> (N, C, H, W), and so (K, R, S, C) -> (K, C, R, S).
std::vector<float> channels_first(std::span<const float> values,
                                  const std::array<int64_t, 4>& nhwc);

}  // namespace kd
