#include "oracle/linear.h"

namespace kd::oracle {

Array linear(const Array& x, const Array& w, const Array& bias) {
  const int64_t n = x.dim(0), d = x.dim(1), k = w.dim(0);
  Array y = Array::zeros({n, k});
  for (int64_t row = 0; row < n; ++row)
    for (int64_t out = 0; out < k; ++out) {
      double sum = bias.data.empty() ? 0 : bias.at(out);
      for (int64_t in = 0; in < d; ++in) sum += x.at(row * d + in) * w.at(out * d + in);
      y.at(row * k + out) = sum;
    }
  return y;
}

Array linear_dgrad(const Array& dy, const Array& w) {
  const int64_t n = dy.dim(0), d = w.dim(1), k = w.dim(0);
  Array dx = Array::zeros({n, d});
  for (int64_t row = 0; row < n; ++row)
    for (int64_t out = 0; out < k; ++out)
      for (int64_t in = 0; in < d; ++in) {
        dx.at(row * d + in) += dy.at(row * k + out) * w.at(out * d + in);
      }
  return dx;
}

Array linear_wgrad(const Array& x, const Array& dy) {
  const int64_t n = x.dim(0), d = x.dim(1), k = dy.dim(1);
  Array dw = Array::zeros({k, d});
  for (int64_t row = 0; row < n; ++row)
    for (int64_t out = 0; out < k; ++out)
      for (int64_t in = 0; in < d; ++in) {
        dw.at(out * d + in) += dy.at(row * k + out) * x.at(row * d + in);
      }
  return dw;
}

Array batched_matmul(const Array& a, const Array& b, Transposed transposed) {
  const int64_t groups = a.dim(0), m = a.dim(transposed.a ? 2 : 1);
  const int64_t k = a.dim(transposed.a ? 1 : 2), n = b.dim(transposed.b ? 1 : 2);
  Array y = Array::zeros({groups, m, n});
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t row = 0; row < m; ++row)
      for (int64_t column = 0; column < n; ++column)
        for (int64_t i = 0; i < k; ++i) {
          const int64_t in_a = transposed.a ? i * m + row : row * k + i;
          const int64_t in_b = transposed.b ? column * k + i : i * n + column;
          y.at((g * m + row) * n + column) += a.at(g * m * k + in_a) * b.at(g * k * n + in_b);
        }
  return y;
}

}  // namespace kd::oracle
