// The distillation terms over one row of student logits s and teacher logits t, in three phases, so
// that one read of both serves every term: maxima, scan (sums), finish, then the values and grad
// per element.
//
// With m_s, m_t the row maxima (they do not depend on any temperature):
//   ce          = log S_1 - (s_y - m_s), smoothed with e: + e ((s_y - m_s) - mean_k (s_k - m_s))
//   kl          = T^2 KL(p_T(t) || p_T(s)), KL = A / (T W_T) - log W_T + log S_T
//                 A = sum e^((t-m_t)/T) ((t-m_t) - (s-m_s))
//   mse         = mean_k (s - t - c)^2, c = mean_k (s - t) if centred, else 0
//   lse_margin  = m LSE(s/m) - sum w s, w = softmax(t/T_m) or t / sum t
//   lse_margin_literal = -beta LSE(s/m) - sum t s / sum t
// Accumulator is the type of the sums: double on the CPU, float on devices (distill_sums.h says
// how float keeps its digits). kTerms are the terms a row may have: code for others is not made. A
// logit of -inf has probability 0 and adds nothing; NaN anywhere makes the values NaN. A label out
// of range makes them NaN and is never read.
//
// One thread: maximum() and then scan() of every element, finish(), grad(). A row of many threads,
// in one sweep: each thread calls raise(its maxima so far) before it scans more; then all raise to
// the maxima of the row, add up early_sums(), recentre(), add up each_sum(), and finish.
#pragma once

#include <cfloat>
#include <cmath>

#include "kernels/distill_sums.h"

namespace kd::kernels {

// Bits of the terms.
constexpr unsigned kCe = 1, kKl = 2, kMse = 4, kLseMargin = 8, kLiteral = 16, kEveryTerm = 31;

// Which terms a row needs, with their weights already divided by the batch size where the
// gradient is concerned.
template <class A>
struct DistillParameters {
  A ce = 0, kl = 0, mse = 0, lse_margin = 0, literal = 0;  // weights; 0 = not computed
  A smoothing = 0;
  A temperature = 4;
  bool mse_centred = false;
  A margin = 2;
  A margin_temperature = 1;
  bool margin_normalised = false;
  A literal_margin = 2;
  A literal_beta = 0.5;
};
using DistillParams = DistillParameters<double>;

template <class A>
struct DistillRowValues {  // unweighted
  A ce = 0, kl = 0, mse = 0, lse_margin = 0, literal = 0;
};
using DistillValues = DistillRowValues<double>;

// The divisors of a kind of loss.
template <class A>
struct DistillDivisors {
  Divisor<A> temperature, margin, margin_temperature, literal_margin;
  static DistillDivisors of(const DistillParameters<double>& p) {
    return {Divisor<A>::of(p.temperature), Divisor<A>::of(p.margin),
            Divisor<A>::of(p.margin_temperature), Divisor<A>::of(p.literal_margin)};
  }
};

// The exponentials of one element, to be kept for grad() or made again.
template <class A>
struct DistillPowers {
  A ce = 0, kl_s = 0, kl_t = 0, margin_s = 0, margin_t = 0, literal = 0;
};

template <class Accumulator, unsigned kTerms = kEveryTerm>
class DistillRow {
 public:
  using A = Accumulator;
  using Powers = DistillPowers<A>;
  using Values = DistillRowValues<A>;

  KD_HOST_DEVICE DistillRow(const DistillParameters<A>& params, const DistillDivisors<A>& by,
                            int64_t classes, int64_t label)
      : p_(params), by_(by), classes_(classes), label_(label) {}

  // Phase 1, any order of k. NaN is kept: it wins every later comparison through the sums.
  KD_HOST_DEVICE void maximum(float s, float t) {
    if (s > max_s_) max_s_ = s;
    if (t > max_t_) max_t_ = t;
  }

  // Phase 2.
  KD_HOST_DEVICE Powers powers(float s, float t) const {
    const A ds = shifted(s, max_s_), dt = shifted(t, max_t_);
    Powers e;
    if (has_ce()) e.ce = exponential(ds);
    if (has_kl()) {
      e.kl_s = exponential(by_.temperature.divide(ds));
      e.kl_t = exponential(by_.temperature.divide(dt));
    }
    if (has_lse_margin()) {
      e.margin_s = exponential(by_.margin.divide(ds));
      e.margin_t = p_.margin_normalised ? A(t) : exponential(by_.margin_temperature.divide(dt));
    }
    if (has_literal()) e.literal = exponential(by_.literal_margin.divide(ds));
    return e;
  }

  KD_HOST_DEVICE void scan(int64_t k, float s, float t, const Powers& e) {
    const A ds = shifted(s, max_s_), dt = shifted(t, max_t_);
    if (has_ce()) {
      ce_.add(ds, e.ce);
      if (p_.smoothing != 0) sum_ds_ += linear(s, ds);
      if (k == label_) label_s_ = s;
    }
    if (has_kl()) kl_.add({ds, dt, e.kl_s, e.kl_t}, apart(s, t));
    if (has_mse()) mse_.add(A(s) - A(t), p_.mse_centred);
    if (has_lse_margin()) {
      margin_.add(ds, e.margin_s);
      sum_margin_t_ += e.margin_t;
      if (e.margin_t != A(0)) sum_margin_cross_ += e.margin_t * ds;
    }
    if (has_literal()) {
      literal_.add(ds, e.literal);
      sum_t_ += A(t);
      if (t != 0.0f) sum_ts_ += A(t) * A(s);
    }
  }

  // Phase 3.
  KD_HOST_DEVICE void finish() {
    const A count = A(classes_);
    if (has_ce()) {
      by_ce_ = Denominator<A>::of(ce_.total());
      off_target_ = p_.smoothing / count;
      const A label_ds = shifted(label_s_, max_s_);
      label_gap_ = ce_.gap(label_ds, exponential(label_ds), A(1) - p_.smoothing + off_target_);
    }
    if (has_kl()) kl_.finish();
    if (has_mse()) {
      mse_.finish(count, p_.mse_centred);
      by_classes_ = Denominator<A>::of(count);
    }
    if (has_lse_margin()) {
      by_margin_s_ = Denominator<A>::of(margin_.total());
      by_margin_t_ = Denominator<A>::of(sum_margin_t_);
    }
    if (has_literal()) {
      by_literal_ = Denominator<A>::of(literal_.total());
      by_sum_t_ = Denominator<A>::of(sum_t_);
    }
  }

  // After finish(); one thread is enough.
  KD_HOST_DEVICE Values values() const {
    Values v;
    const A count = A(classes_);
    if (has_ce()) v.ce = ce_value(count);
    if (has_kl()) v.kl = p_.temperature * p_.temperature * kl_.value(p_.temperature);
    if (has_mse()) v.mse = mse_.value(count);
    if (has_lse_margin()) {  // sum w = 1, so m_s cancels between the two parts
      v.lse_margin = p_.margin * margin_.log() - sum_margin_cross_ / sum_margin_t_;
    }
    if (has_literal()) {
      v.literal =
          -p_.literal_beta * (A(max_s_) / p_.literal_margin + literal_.log()) - sum_ts_ / sum_t_;
    }
    return v;
  }

  // d (weighted sum of the values) / d s_k, after finish().
  KD_HOST_DEVICE A grad(int64_t k, float s, float t, const Powers& e) const {
    A g = 0;
    if (has_ce()) {
      g += p_.ce * (k == label_ ? label_gap_ : by_ce_.divide(e.ce) - off_target_);
    }
    if (has_kl()) {
      const A ds = shifted(s, max_s_), dt = shifted(t, max_t_);
      g += p_.kl * p_.temperature * kl_.difference({ds, dt, e.kl_s, e.kl_t}, apart(s, t));
    }
    if (has_mse()) g += by_classes_.divide(p_.mse * A(2) * (A(s) - A(t) - mse_.centre));
    if (has_lse_margin()) {
      g += p_.lse_margin * (by_margin_s_.divide(e.margin_s) - by_margin_t_.divide(e.margin_t));
    }
    if (has_literal()) {
      g -= p_.literal * (p_.literal_beta / p_.literal_margin * by_literal_.divide(e.literal) +
                         by_sum_t_.divide(A(t)));
    }
    return g;
  }

  // The rest is for rows of many threads; float only.
  KD_HOST_DEVICE float max_s() const { return max_s_; }
  KD_HOST_DEVICE float max_t() const { return max_t_; }

  // Before the first scan(), where the row's maxima are known.
  KD_HOST_DEVICE void start(float max_s, float max_t) { set_maxima(max_s, max_t); }
  // The sums so far become those of greater maxima.
  KD_HOST_DEVICE void raise(float max_s, float max_t) {
    if (max_s == max_s_ && max_t == max_t_) return;
    const A old_s = shifted(max_s_, max_s), old_t = shifted(max_t_, max_t);
    const A old_gap = gap_, old_rest = gap_rest_;
    set_maxima(max_s, max_t);
    if (has_ce()) ce_.raise(exponential(old_s));
    if (has_kl()) {
      kl_.raise(exponential(by_.temperature.divide(old_s)),
                exponential(by_.temperature.divide(old_t)),
                by_.temperature.divide(old_gap - gap_, gap_rest_ - old_rest));
    }
    if (has_lse_margin()) {
      margin_.raise(exponential(by_.margin.divide(old_s)));
      const A factor =
          p_.margin_normalised ? A(1) : exponential(by_.margin_temperature.divide(old_t));
      if (sum_margin_t_ != A(0)) sum_margin_cross_ += sum_margin_t_ * old_s;
      sum_margin_cross_ *= factor;
      sum_margin_t_ *= factor;
    }
    if (has_literal()) literal_.raise(exponential(by_.literal_margin.divide(old_s)));
  }
  // Once all threads have the row's maxima: what must be summed up before the rest, ...
  struct EarlySums {
    A of[3];  // S_T, W_T, sum s - t
  };
  KD_HOST_DEVICE EarlySums early_sums() const { return {{kl_.sum_s, kl_.sum_t, mse_.sum()}}; }
  // ... and, given that of the row, what makes the other sums ready for it.
  KD_HOST_DEVICE void recentre(const EarlySums& row) {
    if (has_kl()) kl_.recentre(row.of[0], row.of[1]);
    if (has_mse() && p_.mse_centred) mse_.recentre(row.of[2] / A(classes_));
  }
  static constexpr int kSums = ((kTerms & kCe) != 0 ? 4 : 0) + ((kTerms & kKl) != 0 ? 2 : 0) +
                               ((kTerms & kMse) != 0 ? 1 : 0) +
                               ((kTerms & kLseMargin) != 0 ? 4 : 0) +
                               ((kTerms & kLiteral) != 0 ? 4 : 0);
  // Calls f(A&) with each of kSums sums, in the same order in every row of this type.
  template <class F>
  KD_HOST_DEVICE void each_sum(F&& f) {
    if constexpr ((kTerms & kCe) != 0) ce_.each_sum(f), f(sum_ds_), f(label_s_);
    if constexpr ((kTerms & kKl) != 0) kl_.each_sum(f);
    if constexpr ((kTerms & kMse) != 0) mse_.each_sum(f);
    if constexpr ((kTerms & kLseMargin) != 0) {
      margin_.each_sum(f), f(sum_margin_t_), f(sum_margin_cross_);
    }
    if constexpr ((kTerms & kLiteral) != 0) literal_.each_sum(f), f(sum_t_), f(sum_ts_);
  }

 private:
  // float's maxima start at the least number, so that no difference of infinities arises.
  static constexpr bool kFloat = sizeof(A) == sizeof(float);

  KD_HOST_DEVICE bool has_ce() const { return (kTerms & kCe) != 0 && p_.ce != 0; }
  KD_HOST_DEVICE bool has_kl() const { return (kTerms & kKl) != 0 && p_.kl != 0; }
  KD_HOST_DEVICE bool has_mse() const { return (kTerms & kMse) != 0 && p_.mse != 0; }
  KD_HOST_DEVICE bool has_lse_margin() const {
    return (kTerms & kLseMargin) != 0 && p_.lse_margin != 0;
  }
  KD_HOST_DEVICE bool has_literal() const { return (kTerms & kLiteral) != 0 && p_.literal != 0; }

  // x - max, and -inf (not NaN) where x is -inf.
  KD_HOST_DEVICE static A shifted(float x, float max) {
    if constexpr (kFloat) return x - max;
    return x == -INFINITY ? A(-INFINITY) : A(x) - A(max);
  }
  // (dt - ds) / T, exact where t is near s. Of m_t - m_s, which is in every element, what its
  // rounding loses is added again.
  KD_HOST_DEVICE A apart([[maybe_unused]] float s, [[maybe_unused]] float t) const {
    if constexpr (kFloat) return by_.temperature.divide((t - s) - gap_, gap_rest_);
    return 0;
  }
  KD_HOST_DEVICE void set_maxima(float max_s, float max_t) {
    max_s_ = max_s, max_t_ = max_t;
    gap_ = max_t - max_s;
    const float of_s = gap_ - max_t, of_t = gap_ - of_s;
    gap_rest_ = by_.temperature.divide((max_s + of_s) - (max_t - of_t));  // - rest / T
  }
  // What smoothing adds up: of s itself in float, where the maximum moves during the sum.
  KD_HOST_DEVICE static A linear(float s, A ds) { return kFloat ? A(s) : ds; }

  KD_HOST_DEVICE A ce_value(A count) const {
    if (label_ < 0 || label_ >= classes_) return A(NAN);
    A value = ce_.log() - (A(1) - p_.smoothing) * shifted(label_s_, max_s_);
    if (p_.smoothing != 0 && kFloat) value -= p_.smoothing * (sum_ds_ / count - A(max_s_));
    if (p_.smoothing != 0 && !kFloat) value -= p_.smoothing * sum_ds_ / count;
    return value;
  }

  DistillParameters<A> p_;
  DistillDivisors<A> by_;
  int64_t classes_, label_;
  float max_s_ = kFloat ? -FLT_MAX : -INFINITY, max_t_ = kFloat ? -FLT_MAX : -INFINITY;
  ExponentialSum<A> ce_, margin_, literal_;
  Divergence<A> kl_;
  Moments<A> mse_;
  A sum_ds_ = 0, sum_margin_t_ = 0, sum_margin_cross_ = 0, sum_t_ = 0, sum_ts_ = 0;
  float label_s_ = 0, gap_ = 0, gap_rest_ = 0;
  A off_target_ = 0, label_gap_ = 0;
  Denominator<A> by_ce_, by_margin_s_, by_margin_t_, by_literal_, by_sum_t_, by_classes_;
};

}  // namespace kd::kernels
