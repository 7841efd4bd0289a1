// The measures of a scorecard, each from logits (N, K) and labels (N), in float64.
#pragma once

#include <span>

#include "kd/report.h"

namespace kd {

// The rows of an f32 (N, K) host tensor.
class LogitRows {
 public:
  explicit LogitRows(const Tensor& logits)
      : data_(logits.as<float>()), rows_(logits.shape()[0]), classes_(logits.shape()[1]) {}
  int64_t size() const { return rows_; }
  int64_t classes() const { return classes_; }
  std::span<const float> operator[](int64_t row) const {
    return {data_ + row * classes_, static_cast<size_t>(classes_)};
  }

 private:
  const float* data_;
  int64_t rows_, classes_;
};

int answer(std::span<const float> row);  // the first of the largest
// (K): log softmax(row / temperature).
std::vector<double> log_softmax(std::span<const float> row, double temperature = 1);
// Others as high as the label, or not comparable: 0 = found at the top.
int64_t rank_of(std::span<const float> row, int label);

Calibration calibration(const LogitRows& logits, std::span<const int> labels, double temperature);

// The T in [0.01, 100] of least mean NLL: the NLL is convex in 1/T (Newton, bracketed).
double fit_temperature(const LogitRows& logits, std::span<const int> labels);

double agreement_percent(const LogitRows& a, const LogitRows& b);
double mean_kl(const LogitRows& teacher, const LogitRows& student);  // KL(teacher || student)

}  // namespace kd
