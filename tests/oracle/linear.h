// The fully connected layer: x (N, D), w (K, D), y = x w^T + bias (N, K).
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

Array linear(const Array& x, const Array& w, const Array& bias);  // an empty bias adds nothing
Array linear_dgrad(const Array& dy, const Array& w);              // dy w
Array linear_wgrad(const Array& x, const Array& dy);              // dy^T x

}  // namespace kd::oracle
