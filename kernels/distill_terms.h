// The distillation terms over one row of student logits s and teacher logits t, in three phases, so
// that one read of both serves every term: maxima, scan (sums), finish (values), and grad per
// element.
//
// With m_s, m_t the row maxima (they do not depend on any temperature):
//   ce          = log S_1 - (s_y - m_s), smoothed with e: + e ((s_y - m_s) - mean_k (s_k - m_s))
//   kl          = T^2 KL(p_T(t) || p_T(s)), KL = A / (T W_T) - log W_T + log S_T
//                 A = sum e^((t-m_t)/T) ((t-m_t) - (s-m_s))
//   mse         = mean_k (s - t - c)^2, c = mean_k (s - t) if centred, else 0
//   lse_margin  = m LSE(s/m) - sum w s, w = softmax(t/T_m) or t / sum t
//   lse_margin_literal = -beta LSE(s/m) - sum t s / sum t
// Accumulator is the type of the sums: double on the CPU. A logit of -inf has probability 0 and
// adds nothing; NaN anywhere makes the values NaN. A label out of range makes them NaN and is never
// read.
#pragma once

#include <cmath>

#include "kernels/types.h"

namespace kd::kernels {

// Which terms a row needs, with their weights already divided by the batch size where the
// gradient is concerned.
struct DistillParams {
  double ce = 0, kl = 0, mse = 0, lse_margin = 0, literal = 0;  // weights; 0 = not computed
  double smoothing = 0;
  double temperature = 4;
  bool mse_centred = false;
  double margin = 2;
  double margin_temperature = 1;
  bool margin_normalised = false;
  double literal_margin = 2;
  double literal_beta = 0.5;
};

struct DistillValues {  // of one row, unweighted
  double ce = 0, kl = 0, mse = 0, lse_margin = 0, literal = 0;
};

template <class Accumulator>
class DistillRow {
 public:
  using A = Accumulator;

  KD_HOST_DEVICE DistillRow(const DistillParams& params, int64_t classes, int64_t label)
      : p_(params), classes_(classes), label_(label) {}

  // Phase 1, any order of k. NaN is kept: it wins every later comparison through the sums.
  KD_HOST_DEVICE void maximum(float s, float t) {
    if (s > max_s_) max_s_ = s;
    if (t > max_t_) max_t_ = t;
  }

  // Phase 2.
  KD_HOST_DEVICE void scan(int64_t k, float s, float t) {
    const A ds = shifted(s, max_s_), dt = shifted(t, max_t_);
    if (p_.ce != 0) {
      sum_1_ += ::exp(ds);
      if (p_.smoothing != 0) sum_ds_ += ds;
      if (k == label_) label_ds_ = ds;
    }
    if (p_.kl != 0) {
      sum_kl_s_ += ::exp(ds / A(p_.temperature));
      const A weight = ::exp(dt / A(p_.temperature));
      sum_kl_t_ += weight;
      if (weight != A(0)) sum_cross_ += weight * (dt - ds);
    }
    if (p_.mse != 0) {
      const A difference = A(s) - A(t);
      sum_difference_ += difference;
      sum_square_ += difference * difference;
    }
    if (p_.lse_margin != 0) {
      sum_margin_s_ += ::exp(ds / A(p_.margin));
      const A weight = p_.margin_normalised ? A(t) : ::exp(dt / A(p_.margin_temperature));
      sum_margin_t_ += weight;
      if (weight != A(0)) sum_margin_cross_ += weight * ds;
    }
    if (p_.literal != 0) {
      sum_literal_s_ += ::exp(ds / A(p_.literal_margin));
      sum_t_ += A(t);
      if (t != 0.0f) sum_ts_ += A(t) * A(s);
    }
  }

  // Phase 3.
  KD_HOST_DEVICE DistillValues finish() {
    DistillValues v;
    const A count = A(classes_);
    if (p_.ce != 0) {
      const A smoothing = A(p_.smoothing);
      v.ce = ::log(sum_1_) - (A(1) - smoothing) * label_ds_;
      if (p_.smoothing != 0) v.ce -= smoothing * sum_ds_ / count;
      if (label_ < 0 || label_ >= classes_) v.ce = A(NAN);
    }
    if (p_.kl != 0) {
      const A temperature = A(p_.temperature);
      const A divergence =
          sum_cross_ / (temperature * sum_kl_t_) - ::log(sum_kl_t_) + ::log(sum_kl_s_);
      v.kl = temperature * temperature * divergence;
    }
    if (p_.mse != 0) {
      centre_ = p_.mse_centred ? sum_difference_ / count : A(0);
      v.mse = sum_square_ / count - centre_ * centre_;
    }
    if (p_.lse_margin != 0) {  // sum w = 1, so m_s cancels between the two parts
      v.lse_margin = A(p_.margin) * ::log(sum_margin_s_) - sum_margin_cross_ / sum_margin_t_;
    }
    if (p_.literal != 0) {
      v.literal = -A(p_.literal_beta) * (A(max_s_) / A(p_.literal_margin) + ::log(sum_literal_s_)) -
                  sum_ts_ / sum_t_;
    }
    return v;
  }

  // d (weighted sum of the values) / d s_k, after finish().
  KD_HOST_DEVICE A grad(int64_t k, float s, float t) const {
    const A ds = shifted(s, max_s_), dt = shifted(t, max_t_);
    A g = 0;
    if (p_.ce != 0) {
      const A target =
          (k == label_ ? A(1) - A(p_.smoothing) : A(0)) + A(p_.smoothing) / A(classes_);
      g += A(p_.ce) * (::exp(ds) / sum_1_ - target);
    }
    if (p_.kl != 0) {
      const A temperature = A(p_.temperature);
      const A student = ::exp(ds / temperature) / sum_kl_s_,
              teacher = ::exp(dt / temperature) / sum_kl_t_;
      g += A(p_.kl) * temperature * (student - teacher);
    }
    if (p_.mse != 0) g += A(p_.mse) * A(2) * (A(s) - A(t) - centre_) / A(classes_);
    if (p_.lse_margin != 0) {
      const A student = ::exp(ds / A(p_.margin)) / sum_margin_s_;
      const A weight = p_.margin_normalised ? A(t) : ::exp(dt / A(p_.margin_temperature));
      g += A(p_.lse_margin) * (student - weight / sum_margin_t_);
    }
    if (p_.literal != 0) {
      const A student = ::exp(ds / A(p_.literal_margin)) / sum_literal_s_;
      g -= A(p_.literal) * (A(p_.literal_beta) / A(p_.literal_margin) * student + A(t) / sum_t_);
    }
    return g;
  }

 private:
  // x - max, and -inf (not NaN) where x is -inf.
  KD_HOST_DEVICE static A shifted(float x, float max) {
    return x == -INFINITY ? A(-INFINITY) : A(x) - A(max);
  }

  DistillParams p_;
  int64_t classes_, label_;
  float max_s_ = -INFINITY, max_t_ = -INFINITY;
  A sum_1_ = 0, sum_ds_ = 0, label_ds_ = 0;
  A sum_kl_s_ = 0, sum_kl_t_ = 0, sum_cross_ = 0;
  A sum_difference_ = 0, sum_square_ = 0, centre_ = 0;
  A sum_margin_s_ = 0, sum_margin_t_ = 0, sum_margin_cross_ = 0;
  A sum_literal_s_ = 0, sum_t_ = 0, sum_ts_ = 0;
};

}  // namespace kd::kernels
