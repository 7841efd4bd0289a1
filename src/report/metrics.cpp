#include "report/metrics.h"

#include <algorithm>
#include <cmath>

namespace kd {

int answer(std::span<const float> row) {
  return static_cast<int>(std::max_element(row.begin(), row.end()) - row.begin());
}

std::vector<double> log_softmax(std::span<const float> row, double temperature) {
  const double top = row[static_cast<size_t>(answer(row))];
  std::vector<double> result(row.size());
  double sum = 0;
  for (size_t k = 0; k < row.size(); ++k) {
    result[k] = (row[k] - top) / temperature;
    sum += std::exp(result[k]);
  }
  for (double& x : result) x -= std::log(sum);
  return result;
}

int64_t rank_of(std::span<const float> row, int label) {
  const float own = row[static_cast<size_t>(label)];
  return std::count_if(row.begin(), row.end(), [own](float x) { return !(x < own); }) - 1;
}

Calibration calibration(const LogitRows& logits, std::span<const int> labels, double temperature) {
  Calibration c;
  c.bins.resize(kReliabilityBins);
  for (int64_t i = 0; i < logits.size(); ++i) {
    const auto label = static_cast<size_t>(labels[static_cast<size_t>(i)]);
    const std::vector<double> log_p = log_softmax(logits[i], temperature);
    c.nll -= log_p[label];
    double confidence = 0;
    for (size_t k = 0; k < log_p.size(); ++k) {
      const double p = std::exp(log_p[k]), miss = p - (k == label ? 1 : 0);
      c.brier += miss * miss;
      confidence = std::max(confidence, p);
    }
    const auto b = static_cast<size_t>(confidence * kReliabilityBins);
    ReliabilityBin& bin = c.bins[std::min<size_t>(b, kReliabilityBins - 1)];
    ++bin.count;
    bin.confidence += confidence;
    bin.accuracy += rank_of(logits[i], labels[static_cast<size_t>(i)]) == 0;
  }
  const auto n = static_cast<double>(logits.size());
  for (ReliabilityBin& bin : c.bins) {
    c.ece += 100 * std::abs(bin.accuracy - bin.confidence) / n;
    bin.accuracy /= static_cast<double>(std::max<int64_t>(bin.count, 1));
    bin.confidence /= static_cast<double>(std::max<int64_t>(bin.count, 1));
  }
  c.nll /= n;
  c.brier /= n;
  return c;
}

namespace {

// First and second derivative of the mean NLL in beta = 1/T: mean of E_p[z] - z_label, of Var_p[z].
std::pair<double, double> derivatives(const LogitRows& logits, std::span<const int> labels,
                                      double beta) {
  double slope = 0, curvature = 0;
  for (int64_t i = 0; i < logits.size(); ++i) {
    const std::span<const float> row = logits[i];
    const std::vector<double> log_p = log_softmax(row, 1 / beta);
    double mean = 0, square = 0;
    const double own = row[static_cast<size_t>(labels[static_cast<size_t>(i)])];
    for (size_t k = 0; k < row.size(); ++k) {
      const double p = std::exp(log_p[k]), z = row[k] - own;
      mean += p * z;
      square += p * z * z;
    }
    slope += mean;
    curvature += square - mean * mean;
  }
  const auto n = static_cast<double>(logits.size());
  return {slope / n, curvature / n};
}

}  // namespace

double fit_temperature(const LogitRows& logits, std::span<const int> labels) {
  double low = 0.01, high = 100, beta = 1;
  if (derivatives(logits, labels, low).first >= 0) return 1 / low;
  if (derivatives(logits, labels, high).first < 0) return 1 / high;
  for (int i = 0; i < 100; ++i) {
    const auto [slope, curvature] = derivatives(logits, labels, beta);
    (slope > 0 ? high : low) = beta;
    double next = beta - slope / curvature;
    if (!(next > low && next < high)) next = std::sqrt(low * high);
    const bool settled = std::abs(next - beta) <= 1e-10 * beta;
    beta = next;
    if (settled) break;
  }
  return 1 / beta;
}

double agreement_percent(const LogitRows& a, const LogitRows& b) {
  int64_t same = 0;
  for (int64_t i = 0; i < a.size(); ++i) same += answer(a[i]) == answer(b[i]);
  return 100 * static_cast<double>(same) / static_cast<double>(a.size());
}

double mean_kl(const LogitRows& teacher, const LogitRows& student) {
  double sum = 0;
  for (int64_t i = 0; i < teacher.size(); ++i) {
    const std::vector<double> p = log_softmax(teacher[i]), q = log_softmax(student[i]);
    for (size_t k = 0; k < p.size(); ++k) sum += std::exp(p[k]) * (p[k] - q[k]);
  }
  return std::max(0.0, sum / static_cast<double>(teacher.size()));
}

}  // namespace kd
