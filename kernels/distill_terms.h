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
// The other terms: distill_pairs.h. A mixed picture has two labels with shares a + b = 1, and its
// ce is a ce(y) + b ce(y'). Accumulator is the type of the sums: double on the CPU, float on
// devices (distill_sums.h says how float keeps its digits). kTerms are the terms a row may have:
// code for others is not made. A logit of -inf has probability 0 and adds nothing; NaN anywhere
// makes the values NaN. A label of -1 is none: it adds nothing. Any other out of range makes ce
// NaN; neither is ever read.
//
// One thread: maximum() and then scan() of every element, finish(), grad(). A row of many threads,
// in one sweep: each thread calls raise(its maxima so far) before it scans more; then all raise to
// the maxima of the row, add up early_sums(), recentre(), add up each_sum(), and finish.
#pragma once

#include <cfloat>
#include <cmath>

#include "kernels/distill_sums.h"

namespace kd::kernels {

// Bits of the terms, and in this order their weights and values.
constexpr unsigned kCe = 1, kKl = 2, kMse = 4, kLseMargin = 8, kLiteral = 16, kTeacherCe = 32,
                   kHardMix = 64, kDkd = 128, kLogitStd = 256, kJs = 512, kSpherical = 1024;
constexpr unsigned kSumTerms = 31, kPairTerms = 0x7e0;  // of this file, of distill_pairs.h

// Which terms a row needs, with their weights already divided by the batch size where the
// gradient is concerned.
template <class A>
struct DistillParameters {
  // Weights; 0 = not computed.
  A ce = 0, kl = 0, mse = 0, lse_margin = 0, literal = 0, teacher_ce = 0, hard_mix = 0, dkd = 0,
    logit_std = 0, js = 0, spherical = 0;
  A smoothing = 0;
  A temperature = 4;
  bool mse_centred = false;
  A margin = 2;
  A margin_temperature = 1;
  bool margin_normalised = false;
  A literal_margin = 2;
  A literal_beta = 0.5;
  bool teacher_soft = false;             // teacher_ce: against its softmax
  A mix_label = 0.5, mix_teacher = 0.3;  // hard_mix: a, b
  A dkd_alpha = 1, dkd_beta = 8, dkd_temperature = 4;
  A standard_temperature = 2;  // logit_std
  A js_temperature = 1;
  A spherical_temperature = 4, spherical_multiplier = 2;

#ifdef __CUDACC__
#pragma nv_exec_check_disable  // f is the caller's: host code gives host functions
#endif
  template <class F>
  KD_HOST_DEVICE void each_weight(F&& f) {
    f(ce), f(kl), f(mse), f(lse_margin), f(literal), f(teacher_ce), f(hard_mix), f(dkd);
    f(logit_std), f(js), f(spherical);
  }
};
using DistillParams = DistillParameters<double>;

template <class A>
struct DistillRowValues {  // unweighted
  A ce = 0, kl = 0, mse = 0, lse_margin = 0, literal = 0, teacher_ce = 0, hard_mix = 0, dkd = 0,
    logit_std = 0, js = 0, spherical = 0;

#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
  template <class F>
  KD_HOST_DEVICE void each(F&& f) const {
    f(ce), f(kl), f(mse), f(lse_margin), f(literal), f(teacher_ce), f(hard_mix), f(dkd);
    f(logit_std), f(js), f(spherical);
  }
};
using DistillValues = DistillRowValues<double>;

// What all rows of a loss share: which terms it has, and its divisors.
template <class A>
struct DistillConstants {
  unsigned terms = 0;
  Divisor<A> temperature, margin, margin_temperature, literal_margin;
  static DistillConstants of(DistillParameters<double> p) {
    unsigned terms = 0, bit = 1;
    p.each_weight([&](double weight) { terms |= weight != 0 ? bit : 0, bit *= 2; });
    return {terms, Divisor<A>::of(p.temperature), Divisor<A>::of(p.margin),
            Divisor<A>::of(p.margin_temperature), Divisor<A>::of(p.literal_margin)};
  }
};

// The classes a row's label terms want, by what shares; -1: none, its share is 0.
template <class A>
struct RowLabels {
  int64_t label = -1, partner = -1;
  A share = 0, partner_share = 0;
  KD_HOST_DEVICE static RowLabels of(int64_t label, int64_t partner, A share) {
    RowLabels made{label, partner, label == -1 ? A(0) : share, partner == -1 ? A(0) : 1 - share};
    if (label == partner) {
      made.partner = -1;
      made.share += made.partner_share, made.partner_share = 0;
    }
    return made;
  }
  KD_HOST_DEVICE static RowLabels of(int64_t label) { return of(label, -1, A(1)); }
  KD_HOST_DEVICE A sum() const { return share + partner_share; }
  KD_HOST_DEVICE bool valid(int64_t classes) const {
    return label >= -1 && label < classes && partner >= -1 && partner < classes;
  }
};

// The exponentials of one element, to be kept for grad() or made again.
template <class A>
struct DistillPowers {
  A ce = 0, kl_s = 0, kl_t = 0, margin_s = 0, margin_t = 0, literal = 0;
};

template <class Accumulator, unsigned kTerms = kSumTerms>
class DistillRow {
 public:
  using A = Accumulator;
  using Powers = DistillPowers<A>;
  using Values = DistillRowValues<A>;

  KD_HOST_DEVICE DistillRow(const DistillParameters<A>& params, const DistillConstants<A>& by,
                            int64_t classes, const RowLabels<A>& labels)
      : p_(params), by_(by), classes_(classes), labels_(labels) {}

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
      if (k == labels_.label) label_s_ = s;
      if (k == labels_.partner) partner_s_ = s;
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
      ce_weight_ = p_.ce * labels_.sum();
      label_gap_ = gap_of(label_s_, labels_.share);
      partner_gap_ = gap_of(partner_s_, labels_.partner_share);
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
      const A gap = k == labels_.label     ? label_gap_
                    : k == labels_.partner ? partner_gap_
                                           : by_ce_.divide(e.ce) - off_target_;
      g += ce_weight_ * gap;
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
  static constexpr int kSums = ((kTerms & kCe) != 0 ? 5 : 0) + ((kTerms & kKl) != 0 ? 2 : 0) +
                               ((kTerms & kMse) != 0 ? 1 : 0) +
                               ((kTerms & kLseMargin) != 0 ? 4 : 0) +
                               ((kTerms & kLiteral) != 0 ? 4 : 0);
  // Calls f(A&) with each of kSums sums, in the same order in every row of this type.
  template <class F>
  KD_HOST_DEVICE void each_sum(F&& f) {
    if constexpr ((kTerms & kCe) != 0) {
      ce_.each_sum(f), f(sum_ds_), f(label_s_), f(partner_s_);
    }
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

  KD_HOST_DEVICE bool has(unsigned term) const { return (kTerms & by_.terms & term) != 0; }
  KD_HOST_DEVICE bool has_ce() const { return has(kCe); }
  KD_HOST_DEVICE bool has_kl() const { return has(kKl); }
  KD_HOST_DEVICE bool has_mse() const { return has(kMse); }
  KD_HOST_DEVICE bool has_lse_margin() const { return has(kLseMargin); }
  KD_HOST_DEVICE bool has_literal() const { return has(kLiteral); }

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
    if (!labels_.valid(classes_)) return A(NAN);
    A value = labels_.sum() * ce_.log();
    const A on_target = A(1) - p_.smoothing;
    if (labels_.share != 0) value -= labels_.share * on_target * shifted(label_s_, max_s_);
    if (labels_.partner_share != 0) {
      value -= labels_.partner_share * on_target * shifted(partner_s_, max_s_);
    }
    if (p_.smoothing != 0) {
      const A mean_ds = sum_ds_ / count - (kFloat ? A(max_s_) : A(0));
      value -= labels_.sum() * p_.smoothing * mean_ds;
    }
    return value;
  }
  // What ce's gradient is at a class of this share, for labels that sum to 1.
  KD_HOST_DEVICE A gap_of(float s, A share) const {
    const A ds = shifted(s, max_s_);
    const A part = share == 0 ? A(0) : share / labels_.sum();
    const A target = (A(1) - p_.smoothing) * part + off_target_;
    return ce_.gap(ds, exponential(ds), target);
  }

  DistillParameters<A> p_;
  DistillConstants<A> by_;
  int64_t classes_;
  RowLabels<A> labels_;
  float max_s_ = kFloat ? -FLT_MAX : -INFINITY, max_t_ = kFloat ? -FLT_MAX : -INFINITY;
  ExponentialSum<A> ce_, margin_, literal_;
  Divergence<A> kl_;
  Moments<A> mse_;
  A sum_ds_ = 0, sum_margin_t_ = 0, sum_margin_cross_ = 0, sum_t_ = 0, sum_ts_ = 0;
  float label_s_ = 0, partner_s_ = 0, gap_ = 0, gap_rest_ = 0;
  A off_target_ = 0, ce_weight_ = 0, label_gap_ = 0, partner_gap_ = 0;
  Denominator<A> by_ce_, by_margin_s_, by_margin_t_, by_literal_, by_sum_t_, by_classes_;
};

}  // namespace kd::kernels
