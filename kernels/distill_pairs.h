// The distillation terms that must know a row before they can sum it up: which classes are
// likeliest, how its logits spread, the softmaxes that are compared. Beside those of
// distill_terms.h, from the same read.
//
// q = softmax(x) of the student and p = softmax(y) of the teacher, at the term's temperature T;
// t* and s* the first likeliest classes; y the label.
//   teacher_ce = -log q_t*, or -sum p log q (soft), T = 1
//   hard_mix   = -a log q_y - b log q_t* - (1-a-b) log q_s*, T = 1
//   dkd        = alpha T^2 KL((p_y, 1 - p_y) || (q_y, 1 - q_y)) + beta T^2 KL(p^ || q^), with ^ the
//                softmaxes over all classes but y
//   logit_std  = T^2 KL(p || q) of z / T, z = (s - mean) / (sd + 1e-7), sd of K - 1
//   spherical  = T^2 KL(p || q) of z / T, z = m (s - mean) / sqrt(mean (s - mean)^2 + 1e-7)
//   js         = T^2 / 2 (KL(p || q) + KL(q || p))
// All in log space (softmax_pair.h).
//
// One thread: survey() of every element, settle(); scan() of every element, finish_sums();
// compare() of every element, finish(); grad(). Threads of one row join what they have before each
// settle() or finish: each_maximum, each_index, each_spread; each_sum; each_comparison.
// -inf has probability 0, but has no mean: it makes logit_std and spherical NaN.
#pragma once

#include <climits>

#include "kernels/distill_terms.h"
#include "kernels/softmax_pair.h"

namespace kd::kernels {

template <class A>
class PairTerms {
 public:
  // `first_s`, `first_t`: logits of the row's first class.
  KD_HOST_DEVICE PairTerms(const DistillParameters<A>& params, unsigned terms, int64_t classes,
                           const RowLabels<A>& labels, float first_s, float first_t)
      : p_(params),
        terms_(terms),
        classes_(static_cast<int>(classes)),
        labels_(labels),
        first_s_(first_s),
        first_t_(first_t) {}

  // Phase 1: k rises from call to call.
  KD_HOST_DEVICE void survey(int k, float s, float t) {
    if (s > maxima_[0]) maxima_[0] = s, likeliest_[0] = k;
    if (t > maxima_[1]) maxima_[1] = t, likeliest_[1] = k;
    if (has(kDkd) && k != labels_.label) {
      if (s > maxima_[2]) maxima_[2] = s;
      if (t > maxima_[3]) maxima_[3] = t;
    }
    if (has(kLogitStd | kSpherical)) {
      spread_s_.add(A(s) - first_s_);
      spread_t_.add(A(t) - first_t_);
    }
  }
  KD_HOST_DEVICE float max_s() const { return maxima_[0]; }
  KD_HOST_DEVICE float max_t() const { return maxima_[1]; }

  KD_HOST_DEVICE void settle() {
    const float max_s = maxima_[0], max_t = maxima_[1];
    soft_.start(1, 1, max_s, max_t);
    const A by_dkd = 1 / p_.dkd_temperature, by_js = 1 / p_.js_temperature;
    rest_.start(by_dkd, by_dkd, maxima_[2], maxima_[3]);
    js_.start(by_js, by_js, max_s, max_t);
    if (!has(kLogitStd | kSpherical)) return;
    const A n = A(classes_), of_s = spread_s_.squares, of_t = spread_t_.squares;
    using Z = Standard<A>;
    std_.pair.start(1, 1, max_s, max_t), sphere_.pair.start(1, 1, max_s, max_t);
    std_.start(Z::by_deviation(of_s, n), Z::by_deviation(of_t, n), 1 / p_.standard_temperature);
    sphere_.start(Z::by_norm(of_s, n), Z::by_norm(of_t, n),
                  p_.spherical_multiplier / p_.spherical_temperature);
  }

  // Phase 2.
  KD_HOST_DEVICE void scan(int k, float s, float t) {
    if (has_hard()) {
      const A ds = A(s) - soft_.max_s;
      exponentials_.add(ds, exponential(ds));
      if (k == labels_.label) picked_[0] = s;
      if (k == labels_.partner) picked_[1] = s;
      if (k == likeliest_[1]) picked_[2] += s;
      if (t != t) picked_[2] += t;  // NaN
    }
    if (has_soft()) soft_.scan(s, t);
    if (has(kDkd)) {
      if (k == labels_.label) {
        label_[0] = s, label_[1] = t;
      } else {
        rest_.scan(s, t);
      }
    }
    if (has(kLogitStd)) std_.pair.scan(s, t);
    if (has(kJs)) js_.scan(s, t);
    if (has(kSpherical)) sphere_.pair.scan(s, t);
  }

  KD_HOST_DEVICE void finish_sums() {
    if (has_hard()) by_total_ = Denominator<A>::of(exponentials_.total());
    if (has_soft()) soft_.finish();
    if (has(kDkd)) {
      rest_.finish();
      odds_s_ = rest_.by_s * (label_[0] - rest_.max_s) - logarithm(rest_.sums[0]);
      odds_t_ = rest_.by_t * (label_[1] - rest_.max_t) - logarithm(rest_.sums[1]);
    }
    if (has(kLogitStd)) std_.pair.finish();
    if (has(kJs)) js_.finish();
    if (has(kSpherical)) sphere_.pair.finish();
  }

  // Phase 3.
  KD_HOST_DEVICE void compare(int k, float s, float t) {
    if (has_soft()) {
      const auto e = soft_.at(s, t);
      if (e.p != 0) crossed_[0] += e.p * (logarithm(soft_.sums[0]) - e.x);
    }
    if (has(kDkd) && k != labels_.label) rest_divergence_[0] += rest_.forward(rest_.at(s, t));
    if (has(kLogitStd)) std_.compare(s, t);
    if (has(kJs)) {
      const auto e = js_.at(s, t);
      js_divergences_[0] += js_.forward(e), js_divergences_[1] += js_.backward(e);
    }
    if (has(kSpherical)) sphere_.compare(s, t);
  }

  KD_HOST_DEVICE void finish() {
    if (has(kDkd)) target_gap_ = has_rest() ? sigmoid_difference(odds_s_, odds_t_) : A(0);
    if (has(kLogitStd)) std_.finish();
    if (has(kSpherical)) sphere_.finish();
  }

  // After finish(); one thread is enough.
  KD_HOST_DEVICE void add_values(DistillRowValues<A>& v) const {
    if (has(kTeacherCe)) v.teacher_ce = p_.teacher_soft ? crossed_[0] : log_sum() - off(picked_[2]);
    if (has(kHardMix)) v.hard_mix = hard_mix();
    if (has(kDkd)) v.dkd = dkd();
    if (has(kLogitStd)) v.logit_std = square(p_.standard_temperature) * std_.moved[0];
    if (has(kJs)) {
      v.js = square(p_.js_temperature) / 2 * (js_divergences_[0] + js_divergences_[1]);
    }
    if (has(kSpherical)) v.spherical = square(p_.spherical_temperature) * sphere_.moved[0];
  }

  // d (weighted sum of the values) / d s_k, after finish().
  KD_HOST_DEVICE A grad(int k, float s, float t) const {
    A g = 0;
    if (has_hard()) g += hard_grad(k, s);
    if (has_soft()) g += p_.teacher_ce * soft_.difference(soft_.at(s, t));
    if (has(kDkd) && has_rest() && labels_.label != -1) {
      g += p_.dkd * p_.dkd_temperature * dkd_grad(k, s, t);
    }
    const A off_mean = (A(s) - first_s_) - spread_s_.mean;
    if (has(kLogitStd)) {
      g += p_.logit_std * square(p_.standard_temperature) * std_.grad(s, t, off_mean);
    }
    if (has(kJs)) g += p_.js * p_.js_temperature / 2 * js_grad(s, t);
    if (has(kSpherical)) {
      g += p_.spherical * square(p_.spherical_temperature) * sphere_.grad(s, t, off_mean);
    }
    return g;
  }

  // The rest is for rows of many threads; float only. Each calls f(array) with what threads must
  // join: by the greatest, ...
  template <class F>
  KD_HOST_DEVICE void each_maximum(F&& f) {
    const float own[2] = {maxima_[0], maxima_[1]};
    f(maxima_);
    for (int i = 0; i < 2; ++i) {  // a class is only likeliest where its logit is
      if (own[i] != maxima_[i]) likeliest_[i] = INT_MAX;
    }
  }
  // ... the least, ...
  template <class F>
  KD_HOST_DEVICE void each_index(F&& f) {
    f(likeliest_);
  }
  // ... by sums, in this order.
  template <class F>
  KD_HOST_DEVICE void each_spread(F&& f) {
    if (!has(kLogitStd | kSpherical)) return;
    float sums[2] = {spread_s_.sum(), spread_t_.sum()};
    f(sums);
    spread_s_.recentre(sums[0] / static_cast<float>(classes_));
    spread_t_.recentre(sums[1] / static_cast<float>(classes_));
    float squares[2] = {spread_s_.squares, spread_t_.squares};
    f(squares);
    spread_s_.squares = squares[0], spread_t_.squares = squares[1];
  }
  template <class F>
  KD_HOST_DEVICE void each_sum(F&& f) {
    if (has_hard()) {
      float sums[2] = {exponentials_.tops, exponentials_.rest};
      f(sums), f(picked_);
      exponentials_.tops = sums[0], exponentials_.rest = sums[1];
    }
    if (has_soft()) f(soft_.sums);
    if (has(kDkd)) f(rest_.sums), f(label_);
    if (has(kLogitStd)) f(std_.pair.sums);
    if (has(kJs)) f(js_.sums);
    if (has(kSpherical)) f(sphere_.pair.sums);
  }
  template <class F>
  KD_HOST_DEVICE void each_comparison(F&& f) {
    if (has_soft()) f(crossed_);
    if (has(kDkd)) f(rest_divergence_);
    if (has(kLogitStd)) f(std_.moved);
    if (has(kJs)) f(js_divergences_);
    if (has(kSpherical)) f(sphere_.moved);
  }

 private:
  KD_HOST_DEVICE bool has(unsigned term) const { return (terms_ & term) != 0; }
  KD_HOST_DEVICE bool has_soft() const { return has(kTeacherCe) && p_.teacher_soft; }
  KD_HOST_DEVICE bool has_hard() const {
    return has(kHardMix) || (has(kTeacherCe) && !p_.teacher_soft);
  }
  KD_HOST_DEVICE static A square(A x) { return x * x; }
  KD_HOST_DEVICE A log_sum() const { return exponentials_.log(); }
  KD_HOST_DEVICE A off(A s) const { return s - soft_.max_s; }

  KD_HOST_DEVICE A hard_mix() const {
    if (!labels_.valid(classes_)) return A(NAN);
    A value = labels_.sum() * (log_sum() - p_.mix_teacher * off(picked_[2]));
    if (labels_.share != 0) value -= p_.mix_label * labels_.share * off(picked_[0]);
    if (labels_.partner_share != 0) {
      value -= p_.mix_label * labels_.partner_share * off(picked_[1]);
    }
    return value;
  }
  // The gradient of cross entropies, exact where the target is nearly certain.
  KD_HOST_DEVICE A hard_grad(int k, float s) const {
    const A ds = A(s) - soft_.max_s, e = exponential(ds);
    const auto gap = [&](A target) {
      return target == 0 ? by_total_.divide(e) : exponentials_.gap(ds, e, target);
    };
    const bool of_teacher = k == likeliest_[1];
    A g = 0;
    if (has(kTeacherCe) && !p_.teacher_soft) g += p_.teacher_ce * gap(of_teacher ? A(1) : A(0));
    if (has(kHardMix) && labels_.sum() != 0) {
      A target = of_teacher ? p_.mix_teacher : A(0);
      if (k == labels_.label) target += p_.mix_label * labels_.share / labels_.sum();
      if (k == labels_.partner) target += p_.mix_label * labels_.partner_share / labels_.sum();
      if (k == likeliest_[0]) target += 1 - p_.mix_label - p_.mix_teacher;
      g += p_.hard_mix * labels_.sum() * gap(target);
    }
    return g;
  }

  // Is there a class beside the label's?
  KD_HOST_DEVICE bool has_rest() const { return !(rest_.sums[0] == 0 || rest_.sums[1] == 0); }
  KD_HOST_DEVICE A dkd() const {
    if (!labels_.valid(classes_)) return A(NAN);
    if (labels_.label == -1 || !has_rest()) return 0;
    const A target = A(binary_divergence(odds_t_, odds_s_));
    return square(p_.dkd_temperature) * (p_.dkd_alpha * target + p_.dkd_beta * rest_divergence_[0]);
  }
  KD_HOST_DEVICE A dkd_grad(int k, float s, float t) const {
    if (k == labels_.label) return p_.dkd_alpha * target_gap_;
    const auto e = rest_.at(s, t);
    return p_.dkd_beta * rest_.difference(e) - p_.dkd_alpha * target_gap_ * e.q;
  }
  KD_HOST_DEVICE A js_grad(float s, float t) const {
    const auto e = js_.at(s, t);
    const A difference = js_.difference(e);
    return e.q == 0 ? difference : difference - e.q * (e.u + js_divergences_[1]);
  }

  DistillParameters<A> p_;
  unsigned terms_;
  int classes_;
  RowLabels<A> labels_;
  A first_s_, first_t_;
  float maxima_[4] = {-FLT_MAX, -FLT_MAX, -FLT_MAX, -FLT_MAX};  // of s, t; of all but the label
  int likeliest_[2] = {INT_MAX, INT_MAX};                       // of s, t
  Spread<A> spread_s_, spread_t_;                               // of s - first_s
  ExponentialSum<A> exponentials_;
  Denominator<A> by_total_;
  SoftmaxPair<A> soft_, rest_, js_;
  StandardDivergence<A> std_, sphere_;
  A picked_[3] = {0, 0, 0};  // s at the label, its partner, the teacher's likeliest
  A label_[2] = {0, 0};      // s and t at the label
  A crossed_[1] = {0}, rest_divergence_[1] = {0}, js_divergences_[2] = {0, 0};
  A odds_s_ = 0, odds_t_ = 0, target_gap_ = 0;  // log odds of the label
};

}  // namespace kd::kernels
