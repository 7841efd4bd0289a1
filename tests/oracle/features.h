// Terms over layers, in float64. Maps are (N, H, W, C), rows (N, D).
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

// mean (x - y)^2
double mean_squared_difference(const Array& x, const Array& y);

// x (N, H, W, C) by w (K, 1, 1, C) + b (K), or x (N, D) by w (K, D) + b.
Array adapted(const Array& x, const Array& w, const Array& b);

// Means of windows: (N, H, W, C) -> (N, height, width, C).
Array averaged_down(const Array& x, int64_t height, int64_t width);

// Each picture's sum of squares over channels, scaled to L2 norm 1: (N, H, W, C) -> (N, H W).
Array attention_map(const Array& x);

}  // namespace kd::oracle
