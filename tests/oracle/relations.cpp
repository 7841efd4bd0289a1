#include "oracle/relations.h"

#include <cmath>
#include <functional>
#include <numeric>

namespace kd::oracle {
namespace {

using Row = std::vector<double>;

std::vector<Row> rows_of(const Array& x) {
  const auto width = static_cast<size_t>(x.size() / x.dim(0));
  std::vector<Row> rows;
  for (size_t at = 0; at < x.data.size(); at += width) {
    rows.emplace_back(x.data.begin() + static_cast<std::ptrdiff_t>(at),
                      x.data.begin() + static_cast<std::ptrdiff_t>(at + width));
  }
  return rows;
}

double dot(const Row& x, const Row& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}
double length(const Row& x) { return std::sqrt(dot(x, x) + 1e-12); }
double cosine(const Row& x, const Row& y) { return dot(x, y) / (length(x) * length(y)); }

Row minus(const Row& x, const Row& y) {
  Row difference = x;
  for (size_t i = 0; i < x.size(); ++i) difference[i] -= y[i];
  return difference;
}

// mean over (i, j) of f.
double mean_of_pairs(size_t n, const std::function<double(size_t, size_t)>& f) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) sum += f(i, j);
  }
  return sum / static_cast<double>(n * n);
}

double squared(double x) { return x * x; }
double smooth_l1(double x) { return std::abs(x) < 1 ? x * x / 2 : std::abs(x) - 0.5; }

std::vector<Row> softened(const Array& logits, double tau) {
  std::vector<Row> rows = rows_of(logits);
  for (Row& row : rows) {
    double sum = 0;
    for (const double z : row) sum += std::exp(z / tau);
    for (double& z : row) z = std::exp(z / tau) / sum;
  }
  return rows;
}

std::vector<Row> transposed(const std::vector<Row>& rows) {
  std::vector<Row> columns(rows[0].size(), Row(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t k = 0; k < rows[i].size(); ++k) columns[k][i] = rows[i][k];
  }
  return columns;
}

double pearson(const Row& x, const Row& y, double added) {
  const auto n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = added, yy = added, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += squared(x[i] - mean_x);
    yy += squared(y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xy / std::sqrt(xx * yy);
}

double mean_without_correlation(const std::vector<Row>& x, const std::vector<Row>& y,
                                double added) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += 1 - pearson(x[i], y[i], added);
  return sum / static_cast<double>(x.size());
}

std::vector<Row> similarities(const Array& x) {
  const std::vector<Row> rows = rows_of(x);
  std::vector<Row> products(rows.size(), Row(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < rows.size(); ++j) products[i][j] = dot(rows[i], rows[j]);
    const double norm = length(products[i]);
    for (double& product : products[i]) product /= norm;
  }
  return products;
}

double mean_distance(const std::vector<Row>& x) {
  double sum = 0;
  for (const Row& a : x) {
    for (const Row& b : x) sum += length(minus(a, b));
  }
  return sum / static_cast<double>(x.size() * (x.size() - 1));
}

// At picture i, between those to j and k.
double angle(const std::vector<Row>& x, size_t i, size_t j, size_t k) {
  return cosine(minus(x[j], x[i]), minus(x[k], x[i]));
}

std::vector<Row> neighbours(const Array& x) {
  const std::vector<Row> rows = rows_of(x);
  std::vector<Row> p(rows.size(), Row(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    double sum = 0;
    for (size_t j = 0; j < rows.size(); ++j) sum += p[i][j] = (cosine(rows[i], rows[j]) + 1) / 2;
    for (double& probability : p[i]) probability /= sum;
  }
  return p;
}

// The mean of exp(x_1 / T) over the unit sphere of D >= 2 dimensions, by angles from axis 1.
double mean_exponential(int64_t dimensions, double temperature) {
  constexpr int kAngles = 2000;
  double sum = 0, weights = 0;
  for (int i = 0; i <= kAngles; ++i) {
    const double angle = std::acos(-1) * i / kAngles;
    const double weight = std::pow(std::sin(angle), static_cast<double>(dimensions - 2)) *
                          (i % kAngles == 0 ? 0.5 : 1);
    sum += weight * std::exp(std::cos(angle) / temperature);
    weights += weight;
  }
  return sum / weights;
}

}  // namespace

double dist(const Array& s, const Array& t, const Dist& dist) {
  const std::vector<Row> p = softened(s, dist.tau), q = softened(t, dist.tau);
  const double added = 1e-8 / squared(static_cast<double>(s.dim(1)));
  return squared(dist.tau) *
         (dist.beta * mean_without_correlation(p, q, added) +
          dist.gamma * mean_without_correlation(transposed(p), transposed(q), added));
}

double similarity_preserving(const Array& s, const Array& t) {
  const std::vector<Row> x = similarities(s), y = similarities(t);
  return mean_of_pairs(x.size(), [&](size_t i, size_t j) { return squared(x[i][j] - y[i][j]); });
}

double relational(const Array& s, const Array& t, const Relational& weights) {
  const std::vector<Row> x = rows_of(s), y = rows_of(t);
  const size_t n = x.size();
  const double mean_x = mean_distance(x), mean_y = mean_distance(y);
  const double distances = mean_of_pairs(n, [&](size_t i, size_t j) {
    return smooth_l1(length(minus(x[i], x[j])) / mean_x - length(minus(y[i], y[j])) / mean_y);
  });
  double angles = 0;
  for (size_t k = 0; k < n; ++k) {
    angles += mean_of_pairs(
        n, [&](size_t i, size_t j) { return smooth_l1(angle(x, i, j, k) - angle(y, i, j, k)); });
  }
  return weights.distance * distances + weights.angle * angles / static_cast<double>(n);
}

double probabilistic_transfer(const Array& s, const Array& t) {
  const std::vector<Row> q = neighbours(s), p = neighbours(t);
  return mean_of_pairs(p.size(), [&](size_t i, size_t j) {
    return p[i][j] * std::log((p[i][j] + 1e-7) / (q[i][j] + 1e-7));
  });
}

double correlation_congruence(const Array& s, const Array& t, double gamma) {
  const auto kernel = [&](const Row& x, const Row& y) {
    const double at = 2 * gamma * cosine(x, y);
    return std::exp(-2 * gamma) * (1 + at + at * at / 2);
  };
  const std::vector<Row> x = rows_of(s), y = rows_of(t);
  return mean_of_pairs(x.size(), [&](size_t i, size_t j) {
    return squared(kernel(x[i], x[j]) - kernel(y[i], y[j]));
  });
}

Array unit_rows(const Array& x) {
  Array y = x;
  const int64_t width = x.dim(1);
  const std::vector<Row> rows = rows_of(x);
  for (int64_t i = 0; i < x.size(); ++i) {
    y.at(i) /= length(rows[static_cast<size_t>(i / width)]);
  }
  return y;
}

double noise_contrast(const Array& anchors, const Array& bank, const Array& index,
                      double temperature) {
  const std::vector<Row> v = rows_of(anchors), rows = rows_of(bank);
  const auto n = static_cast<double>(rows.size()), k = static_cast<double>(index.dim(1) - 1);
  const double z = n * mean_exponential(bank.dim(1), temperature), noise = k / n;
  double sum = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    for (int64_t j = 0; j < index.dim(1); ++j) {
      const double at = index.at(static_cast<int64_t>(i) * index.dim(1) + j);
      const double p = std::exp(dot(v[i], rows.at(static_cast<size_t>(at))) / temperature) / z;
      sum -= std::log((j == 0 ? p : noise) / (p + noise));
    }
  }
  return sum / static_cast<double>(v.size());
}

}  // namespace kd::oracle
