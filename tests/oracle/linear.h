// The fully connected layer: x (N, D), w (K, D), y = x w^T + bias (N, K); batches of products.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

Array linear(const Array& x, const Array& w, const Array& bias);  // an empty bias adds nothing
Array linear_dgrad(const Array& dy, const Array& w);              // dy w
Array linear_wgrad(const Array& x, const Array& dy);              // dy^T x

// Which of the operands of a batch are transposed in memory.
struct Transposed {
  bool a, b;
};
// a (G, M, K) or (G, K, M), b (G, K, N) or (G, N, K) -> (G, M, N).
Array batched_matmul(const Array& a, const Array& b, Transposed transposed);

}  // namespace kd::oracle
