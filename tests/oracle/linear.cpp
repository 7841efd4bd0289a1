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

}  // namespace kd::oracle
