#include "oracle/features_terms.h"

#include <algorithm>
#include <cmath>

#include "oracle/features.h"

namespace kd::oracle {
namespace {

double square(double x) { return x * x; }

// The norm of one channel of one picture, and its product with another's.
double channel_product(const Array& x, int64_t i, const Array& y, int64_t j, int64_t n) {
  double sum = 0;
  for (int64_t h = 0; h < x.dim(1); ++h) {
    for (int64_t w = 0; w < x.dim(2); ++w) sum += x.at(n, h, w, i) * y.at(n, h, w, j);
  }
  return sum;
}

double kernel_mean(const Array& x, const Array& y) {
  const auto norm = [](const Array& a, int64_t channel, int64_t n) {
    return std::sqrt(channel_product(a, channel, a, channel, n) + 1e-12);
  };
  double sum = 0;
  for (int64_t n = 0; n < x.dim(0); ++n) {
    for (int64_t i = 0; i < x.dim(3); ++i) {
      for (int64_t j = 0; j < y.dim(3); ++j) {
        sum += square(channel_product(x, i, y, j, n) / (norm(x, i, n) * norm(y, j, n)));
      }
    }
  }
  return sum / static_cast<double>(x.dim(0) * x.dim(3) * y.dim(3));
}

// Does the `part`-th of `parts` equal shares of `extent` touch element `at`?
bool touches(int64_t at, int64_t part, int64_t parts, int64_t extent) {
  return (at + 1) * parts > part * extent && at * parts < (part + 1) * extent;
}

double touched_mean(const Array& x, int64_t n, int64_t c, const Array& like, int64_t i, int64_t j) {
  double sum = 0, count = 0;
  for (int64_t h = 0; h < x.dim(1); ++h) {
    for (int64_t w = 0; w < x.dim(2); ++w) {
      const bool inside =
          touches(h, i, like.dim(1), x.dim(1)) && touches(w, j, like.dim(2), x.dim(2));
      if (inside) sum += x.at(n, h, w, c), ++count;
    }
  }
  return sum / count;
}

}  // namespace

double variational(const Array& mu, const Array& t, const Array& a) {
  double sum = 0;
  for (int64_t i = 0; i < t.size(); ++i) {
    const double free = a.at(i % a.size());
    const double variance = (free > 30 ? free : std::log1p(std::exp(free))) + 1e-5;
    sum += 0.5 * (square(mu.at(i) - t.at(i)) / variance + std::log(variance));
  }
  return sum / static_cast<double>(t.size());
}

double boundary_crossings(const Array& s, const Array& t, double margin) {
  double sum = 0;
  for (int64_t i = 0; i < t.size(); ++i) {
    const double sign = t.at(i) > 0 ? 1 : -1;
    sum += square(std::max(margin - sign * s.at(i), 0.0));
  }
  return sum;
}

Array margin_relu(const Array& x) {
  const int64_t channels = x.dim(x.shape.size() - 1);
  Array y = x;
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, count = 0;
    for (int64_t i = c; i < x.size(); i += channels) {
      if (x.at(i) < 0) sum += x.at(i), ++count;
    }
    const double margin = count > 0 ? sum / count : 0;
    for (int64_t i = c; i < x.size(); i += channels) y.at(i) = std::max(x.at(i), margin);
  }
  return y;
}

double partial_distance(const Array& s, const Array& t) {
  double sum = 0;
  for (int64_t i = 0; i < t.size(); ++i) {
    const bool skipped = s.at(i) <= t.at(i) && t.at(i) <= 0;
    if (!skipped) sum += square(s.at(i) - t.at(i));
  }
  return sum;
}

Array touched_averages(const Array& x, int64_t height, int64_t width) {
  Array y = Array::zeros({x.dim(0), height, width, x.dim(3)});
  for (int64_t n = 0; n < x.dim(0); ++n) {
    for (int64_t i = 0; i < height; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        for (int64_t c = 0; c < x.dim(3); ++c) y.at(n, i, j, c) = touched_mean(x, n, c, y, i, j);
      }
    }
  }
  return y;
}

double context_distance(const Array& s, const Array& t) {
  double sum = mean_squared_difference(s, t), weight = 1, weights = 1;
  for (const int64_t size : {4, 2, 1}) {
    if (size >= s.dim(1) || size >= s.dim(2)) continue;
    weight *= 0.5;
    weights += weight;
    sum += weight * mean_squared_difference(touched_averages(s, size, size),
                                            touched_averages(t, size, size));
  }
  return sum / weights;
}

Array attention_fusion(const Array& own, const Array& deeper, const Array& w, const Array& b) {
  Array y = own;
  const int64_t channels = own.dim(3);
  const int64_t down = own.dim(1) / deeper.dim(1), right = own.dim(2) / deeper.dim(2);
  for (int64_t at = 0; at < own.size() / channels; ++at) {
    const auto where = coordinates({own.dim(0), own.dim(1), own.dim(2)}, at);
    const int64_t below = index_of({own.dim(0), deeper.dim(1), deeper.dim(2)},
                                   {where[0], where[1] / down, where[2] / right});
    double gates[2];
    for (int64_t g = 0; g < 2; ++g) {
      double z = b.at(g);
      for (int64_t c = 0; c < channels; ++c) {
        z += w.at(g * 2 * channels + c) * own.at(at * channels + c) +
             w.at((g * 2 + 1) * channels + c) * deeper.at(below * channels + c);
      }
      gates[g] = 1 / (1 + std::exp(-z));
    }
    for (int64_t c = 0; c < channels; ++c) {
      y.at(at * channels + c) =
          gates[0] * own.at(at * channels + c) + gates[1] * deeper.at(below * channels + c);
    }
  }
  return y;
}

double polynomial_mmd(const Array& s, const Array& t) {
  return kernel_mean(t, t) + kernel_mean(s, s) - 2 * kernel_mean(s, t);
}

Array flow(const Array& x, const Array& y) {
  const int64_t height = std::min(x.dim(1), y.dim(1)), width = std::min(x.dim(2), y.dim(2));
  const Array a = touched_averages(x, height, width), b = touched_averages(y, height, width);
  Array products = Array::zeros({x.dim(0), x.dim(3), y.dim(3)});
  for (int64_t i = 0; i < products.size(); ++i) {
    const auto where = coordinates(products.shape, i);
    products.at(i) =
        channel_product(a, where[1], b, where[2], where[0]) / static_cast<double>(height * width);
  }
  return products;
}

double cross_entropy(const Array& logits, const Array& labels) {
  const int64_t classes = logits.dim(1);
  double sum = 0;
  for (int64_t row = 0; row < logits.dim(0); ++row) {
    double most = logits.at(row * classes), powers = 0;
    for (int64_t k = 0; k < classes; ++k) most = std::max(most, logits.at(row * classes + k));
    for (int64_t k = 0; k < classes; ++k) {
      powers += std::exp(logits.at(row * classes + k) - most);
    }
    const auto label = static_cast<int64_t>(labels.at(row));
    sum += most + std::log(powers) - logits.at(row * classes + label);
  }
  return sum / static_cast<double>(logits.dim(0));
}

}  // namespace kd::oracle
