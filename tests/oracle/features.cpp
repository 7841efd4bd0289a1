#include "oracle/features.h"

#include <cmath>

namespace kd::oracle {

double mean_squared_difference(const Array& x, const Array& y) {
  double sum = 0;
  for (int64_t i = 0; i < x.size(); ++i) sum += (x.at(i) - y.at(i)) * (x.at(i) - y.at(i));
  return sum / static_cast<double>(x.size());
}

Array adapted(const Array& x, const Array& w, const Array& b) {
  const int64_t in = w.dim(w.shape.size() - 1), out = w.dim(0), rows = x.size() / in;
  std::vector<int64_t> shape = x.shape;
  shape.back() = out;
  Array y = Array::zeros(shape);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t k = 0; k < out; ++k) {
      double sum = b.at(k);
      for (int64_t c = 0; c < in; ++c) sum += x.at(row * in + c) * w.at(k * in + c);
      y.at(row * out + k) = sum;
    }
  }
  return y;
}

Array averaged_down(const Array& x, int64_t height, int64_t width) {
  const int64_t down = x.dim(1) / height, right = x.dim(2) / width;
  Array y = Array::zeros({x.dim(0), height, width, x.dim(3)});
  for (int64_t n = 0; n < x.dim(0); ++n) {
    for (int64_t h = 0; h < x.dim(1); ++h) {
      for (int64_t w = 0; w < x.dim(2); ++w) {
        for (int64_t c = 0; c < x.dim(3); ++c) {
          y.at(n, h / down, w / right, c) += x.at(n, h, w, c) / static_cast<double>(down * right);
        }
      }
    }
  }
  return y;
}

Array attention_map(const Array& x) {
  const int64_t places = x.dim(1) * x.dim(2), channels = x.dim(3);
  Array map = Array::zeros({x.dim(0), places});
  for (int64_t n = 0; n < x.dim(0); ++n) {
    double squares = 0;
    for (int64_t p = 0; p < places; ++p) {
      double& at = map.at(n * places + p);
      for (int64_t c = 0; c < channels; ++c) {
        const double value = x.at((n * places + p) * channels + c);
        at += value * value;
      }
      squares += at * at;
    }
    for (int64_t p = 0; p < places; ++p) map.at(n * places + p) /= std::sqrt(squares);
  }
  return map;
}

}  // namespace kd::oracle
