#include "oracle/mix.h"

#include <algorithm>
#include <cmath>

namespace kd::oracle {
namespace {

// The triangle of pixel `at` of `to`, over `from` pixels: (from), of sum 1.
std::vector<double> triangle(int64_t from, int64_t to, int64_t at) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double centre = scale * (static_cast<double>(at) + 0.5);
  std::vector<double> weights;
  double total = 0;
  for (int64_t j = 0; j < from; ++j) {
    const double distance = std::abs(static_cast<double>(j) + 0.5 - centre);
    weights.push_back(std::max(0.0, 1 - distance / std::max(1.0, scale)));
    total += weights.back();
  }
  for (double& weight : weights) weight /= total;
  return weights;
}

}  // namespace

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

Array resize_images(const Array& x, int64_t height, int64_t width) {
  Array wide = Array::zeros({x.dim(0), x.dim(1), width, x.dim(3)});
  Array y = Array::zeros({x.dim(0), height, width, x.dim(3)});
  for (int64_t n = 0; n < x.dim(0); ++n) {
    for (int64_t c = 0; c < x.dim(3); ++c) {
      for (int64_t w = 0; w < width; ++w) {
        const std::vector<double> weights = triangle(x.dim(2), width, w);
        for (int64_t h = 0; h < x.dim(1); ++h) {
          for (int64_t j = 0; j < x.dim(2); ++j) {
            wide.at(n, h, w, c) += weights[static_cast<size_t>(j)] * x.at(n, h, j, c);
          }
        }
      }
      for (int64_t h = 0; h < height; ++h) {
        const std::vector<double> weights = triangle(x.dim(1), height, h);
        for (int64_t j = 0; j < x.dim(1); ++j) {
          for (int64_t w = 0; w < width; ++w) {
            y.at(n, h, w, c) += weights[static_cast<size_t>(j)] * wide.at(n, j, w, c);
          }
        }
      }
    }
  }
  return y;
}

}  // namespace kd::oracle
