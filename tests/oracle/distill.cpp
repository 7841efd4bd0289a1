#include "oracle/distill.h"

#include <cmath>
#include <limits>

#include "oracle/rows.h"

namespace kd::oracle {
namespace {

double rows(const Array& s) { return static_cast<double>(s.dim(0)); }

// 0 log 0 = 0, as entropies have it.
double times_log(double p, double log_q) { return p == 0 ? 0 : p * log_q; }

// mean_i - sum_k w_ik log softmax(s_i / T)_k
double mean_cross_entropy(const Array& w, const Array& s, double temperature) {
  const Array log_p = log_softmax(s, temperature);
  double sum = 0;
  for (int64_t i = 0; i < s.size(); ++i) sum -= times_log(w.at(i), log_p.at(i));
  return sum / rows(s);
}

// factor (softmax(s / T) - w) / B
Array mass_difference(const Array& s, const Array& w, double temperature, double factor) {
  Array gradient = softmax(s, temperature);
  for (int64_t i = 0; i < s.size(); ++i) {
    gradient.at(i) = factor * (gradient.at(i) - w.at(i)) / rows(s);
  }
  return gradient;
}

// Each row divided by its sum.
Array normalised(const Array& t) {
  const int64_t k = t.dim(1);
  Array w = t;
  for (int64_t row = 0; row < t.dim(0); ++row) {
    double sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += t.at(row * k + i);
    for (int64_t i = 0; i < k; ++i) w.at(row * k + i) /= sum;
  }
  return w;
}

}  // namespace

Term cross_entropy(const Array& s, const Array& labels, double smoothing) {
  for (const double label : labels.data) {
    if (label < 0 || label >= static_cast<double>(s.dim(1))) {
      return {std::numeric_limits<double>::quiet_NaN(), Array::zeros(s.shape)};
    }
  }
  const Array q = one_hot(labels, s.dim(1), smoothing);
  return {mean_cross_entropy(q, s, 1), mass_difference(s, q, 1, 1)};
}

Term kl(const Array& s, const Array& t, double temperature) {
  const Array log_student = log_softmax(s, temperature), log_teacher = log_softmax(t, temperature);
  double sum = 0;
  for (int64_t i = 0; i < s.size(); ++i) {
    sum += times_log(std::exp(log_teacher.at(i)), log_teacher.at(i) - log_student.at(i));
  }
  return {temperature * temperature * sum / rows(s),
          mass_difference(s, softmax(t, temperature), temperature, temperature)};
}

Term squared_error(const Array& s, const Array& t, bool centred) {
  const int64_t k = s.dim(1);
  Term term{0, Array::zeros(s.shape)};
  for (int64_t row = 0; row < s.dim(0); ++row) {
    double shift = 0;
    for (int64_t i = 0; centred && i < k; ++i) {
      shift += (s.at(row * k + i) - t.at(row * k + i)) / static_cast<double>(k);
    }
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      const double off = s.at(i) - t.at(i) - shift;
      term.value += off * off / static_cast<double>(s.size());
      term.gradient.at(i) = 2 * off / static_cast<double>(s.size());
    }
  }
  return term;
}

Term lse_margin(const Array& s, const Array& t, double margin, double temperature) {
  const Array w = temperature > 0 ? softmax(t, temperature) : normalised(t);
  return {margin * mean_cross_entropy(w, s, margin), mass_difference(s, w, margin, 1)};
}

Term lse_margin_literal(const Array& s, const Array& t, double margin, double beta) {
  const int64_t k = s.dim(1);
  const Array p = softmax(s, margin), log_p = log_softmax(s, margin), w = normalised(t);
  Term term{0, Array::zeros(s.shape)};
  for (int64_t row = 0; row < s.dim(0); ++row) {
    // log softmax(z)_k = z_k - LSE(z) for every k, hence for the likeliest.
    int64_t top = row * k;
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      if (s.at(i) > s.at(top)) top = i;
    }
    term.value -= beta * (s.at(top) / margin - log_p.at(top)) / rows(s);
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      term.value -= w.at(i) * s.at(i) / rows(s);
      term.gradient.at(i) = (-beta / margin * p.at(i) - w.at(i)) / rows(s);
    }
  }
  return term;
}

}  // namespace kd::oracle
