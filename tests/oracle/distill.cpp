#include "oracle/distill.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

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

// What labels ask for, (B, K): rows of 0 without a label, of NaN for one outside [0, K).
Array targets(const Labels& labels, int64_t k, double smoothing) {
  Array q = one_hot(labels.own, k, smoothing);
  if (labels.partner.data.empty()) return q;
  const Array other = one_hot(labels.partner, k, smoothing);
  for (int64_t i = 0; i < q.size(); ++i) {
    const double share = labels.shares.at(i / k);
    q.at(i) = share * q.at(i) + (1 - share) * other.at(i);
  }
  return q;
}

double sum_of_row(const Array& q, int64_t row) {
  const int64_t k = q.dim(1);
  double sum = 0;
  for (int64_t i = row * k; i < (row + 1) * k; ++i) sum += q.at(i);
  return sum;
}

int64_t first_largest(const Array& x, int64_t row) {
  const int64_t k = x.dim(1);
  int64_t best = 0;
  for (int64_t i = 1; i < k; ++i) {
    if (x.at(row * k + i) > x.at(row * k + best)) best = i;
  }
  return best;
}

// - mean_i sum_k q log p, and its gradient for rows q of any sum.
Term cross_entropy_of(const Array& q, const Array& s) {
  Term term{mean_cross_entropy(q, s, 1), softmax(s, 1)};
  for (int64_t row = 0; row < s.dim(0); ++row) {
    const double mass = sum_of_row(q, row);
    for (int64_t i = row * s.dim(1); i < (row + 1) * s.dim(1); ++i) {
      term.gradient.at(i) = (mass * term.gradient.at(i) - q.at(i)) / rows(s);
    }
  }
  return term;
}

// A row without one of its classes.
Array without(const Array& x, int64_t row, int64_t left_out) {
  Array rest = Array::zeros({1, x.dim(1) - 1});
  for (int64_t i = 0, to = 0; i < x.dim(1); ++i) {
    if (i != left_out) rest.at(to++) = x.at(row * x.dim(1) + i);
  }
  return rest;
}

double log_sum(const Array& x, double temperature) {
  const double largest = *std::ranges::max_element(x.data) / temperature;
  double sum = 0;
  for (const double logit : x.data) sum += std::exp(logit / temperature - largest);
  return largest + std::log(sum);
}

double divergence(double log_p, double log_q) { return times_log(std::exp(log_p), log_p - log_q); }

// Rows less their means, over h of their squares; the gradient by x is that by z moved through
// this.
struct Scaled {
  Array z, centred;
  std::vector<double> scale, slope;  // h, d h / d x_k = slope centred_k
};
using ScaleOf = std::pair<double, double> (*)(double squares, double k);  // h, slope
Scaled scaled(const Array& x, ScaleOf scale_of) {
  const int64_t k = x.dim(1);
  Scaled made{x, x, {}, {}};
  for (int64_t row = 0; row < x.dim(0); ++row) {
    double mean = 0, squares = 0;
    for (int64_t i = row * k; i < (row + 1) * k; ++i) mean += x.at(i) / static_cast<double>(k);
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      made.centred.at(i) = x.at(i) - mean;
      squares += made.centred.at(i) * made.centred.at(i);
    }
    const auto [scale, slope] = scale_of(squares, static_cast<double>(k));
    made.scale.push_back(scale), made.slope.push_back(slope);
    for (int64_t i = row * k; i < (row + 1) * k; ++i) made.z.at(i) = made.centred.at(i) / scale;
  }
  return made;
}

// By the full Jacobian of z.
Array through(const Scaled& of, const Array& dz) {
  const int64_t k = dz.dim(1);
  Array dx = Array::zeros(dz.shape);
  for (int64_t row = 0; row < dz.dim(0); ++row) {
    const double h = of.scale[static_cast<size_t>(row)], slope = of.slope[static_cast<size_t>(row)];
    double sum = 0, moved = 0;
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      sum += dz.at(i), moved += dz.at(i) * of.centred.at(i);
    }
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      dx.at(i) = (dz.at(i) - sum / static_cast<double>(k)) / h -
                 moved / (h * h) * slope * of.centred.at(i);
    }
  }
  return dx;
}

Term scaled_kl(const Array& s, const Array& t, double temperature, double gain, ScaleOf scale_of) {
  Scaled of_s = scaled(s, scale_of), of_t = scaled(t, scale_of);
  for (double& z : of_s.z.data) z *= gain;
  for (double& z : of_t.z.data) z *= gain;
  Term term = kl(of_s.z, of_t.z, temperature);
  for (double& g : term.gradient.data) g *= gain;
  term.gradient = through(of_s, term.gradient);
  return term;
}

}  // namespace

Term cross_entropy(const Array& s, const Labels& labels, double smoothing) {
  return cross_entropy_of(targets(labels, s.dim(1), smoothing), s);
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

Term teacher_cross_entropy(const Array& s, const Array& t, bool soft) {
  if (soft) return cross_entropy_of(softmax(t, 1), s);
  Array q = Array::zeros(t.shape);
  for (int64_t row = 0; row < t.dim(0); ++row) q.at(row * t.dim(1) + first_largest(t, row)) = 1;
  return cross_entropy_of(q, s);
}

Term hard_mix(const Array& s, const Array& t, const Labels& labels, const HardMix& shares) {
  const int64_t k = s.dim(1);
  const Array label = targets(labels, k, 0);
  Array q = label;
  for (double& x : q.data) x *= shares.label;
  for (int64_t row = 0; row < s.dim(0); ++row) {
    const double mass = sum_of_row(label, row);
    q.at(row * k + first_largest(t, row)) += mass * shares.teacher;
    q.at(row * k + first_largest(s, row)) += mass * (1 - shares.label - shares.teacher);
  }
  return cross_entropy_of(q, s);
}

Term decoupled(const Array& s, const Array& t, const Array& labels, const Decoupled& of) {
  const int64_t k = s.dim(1);
  const double temperature = of.temperature, factor = temperature * temperature / rows(s);
  const Array log_s = log_softmax(s, temperature), log_t = log_softmax(t, temperature);
  Term term{0, Array::zeros(s.shape)};
  for (int64_t row = 0; row < s.dim(0); ++row) {
    const auto label = static_cast<int64_t>(labels.at(row));
    if (label == -1 || k == 1) continue;
    if (label < 0 || label >= k) return {std::numeric_limits<double>::quiet_NaN(), term.gradient};
    const Array s_rest = without(s, row, label), t_rest = without(t, row, label);
    const Array q = log_softmax(s_rest, temperature), p = log_softmax(t_rest, temperature);
    const int64_t at = row * k + label;
    // log 1 - p_y, without 1 - p_y: what the rest adds up to, less the whole.
    const double whole_s = s.at(at) / temperature - log_s.at(at),
                 whole_t = t.at(at) / temperature - log_t.at(at);
    const double rest_s = log_sum(s_rest, temperature) - whole_s,
                 rest_t = log_sum(t_rest, temperature) - whole_t;
    const double target = divergence(log_t.at(at), log_s.at(at)) + divergence(rest_t, rest_s);
    double others = 0;
    for (int64_t i = 0; i < k - 1; ++i) others += divergence(p.at(i), q.at(i));
    term.value += factor * (of.alpha * target + of.beta * others);
    const double pull = std::exp(log_s.at(at)) - std::exp(log_t.at(at));
    term.gradient.at(at) = factor / temperature * of.alpha * pull;
    for (int64_t i = 0, from = 0; i < k; ++i) {
      if (i == label) continue;
      const double q_i = std::exp(q.at(from)), p_i = std::exp(p.at(from));
      term.gradient.at(row * k + i) =
          factor / temperature * (of.beta * (q_i - p_i) - of.alpha * pull * q_i);
      ++from;
    }
  }
  return term;
}

Term standardised_kl(const Array& s, const Array& t, double temperature) {
  return scaled_kl(s, t, temperature, 1, [](double squares, double k) {
    const double freedom = std::max(1.0, k - 1), deviation = std::sqrt(squares / freedom);
    return std::pair{deviation + 1e-7, deviation == 0 ? 0 : 1 / (freedom * deviation)};
  });
}

Term spherical_kl(const Array& s, const Array& t, double temperature, double multiplier) {
  return scaled_kl(s, t, temperature, multiplier, [](double squares, double k) {
    const double scale = std::sqrt(squares / k + 1e-7);
    return std::pair{scale, 1 / (k * scale)};
  });
}

Term jeffreys(const Array& s, const Array& t, double temperature) {
  const int64_t k = s.dim(1);
  const Array log_s = log_softmax(s, temperature), log_t = log_softmax(t, temperature);
  const double factor = temperature * temperature / 2 / rows(s);
  Term term{0, Array::zeros(s.shape)};
  for (int64_t row = 0; row < s.dim(0); ++row) {
    double forward = 0, backward = 0;  // KL(p_t || p_s), KL(p_s || p_t)
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      forward += divergence(log_t.at(i), log_s.at(i));
      backward += divergence(log_s.at(i), log_t.at(i));
    }
    term.value += factor * (forward + backward);
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      const double q = std::exp(log_s.at(i));
      term.gradient.at(i) =
          factor / temperature *
          (q - std::exp(log_t.at(i)) + times_log(q, log_s.at(i) - log_t.at(i) - backward));
    }
  }
  return term;
}

}  // namespace kd::oracle
