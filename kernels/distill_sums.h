// What the rows of distill_terms.h add up, in two precisions. In double (the CPU engine) the
// textbook sums do: 53 bits hide their cancellations. In float (devices) the same quantities are
// kept in forms that do not cancel: p near 1 as the sum of what is beside it, the divergence of
// near-equal rows as a sum of differences. Sums of several threads are added member by member
// (each_sum), once the threads have agreed on the maxima (raise).
#pragma once

#include <cfloat>
#include <cmath>

#include "kernels/types.h"

namespace kd::kernels {

KD_HOST_DEVICE inline double exponential(double x) { return ::exp(x); }
KD_HOST_DEVICE inline float exponential(float x) { return ::expf(x); }
KD_HOST_DEVICE inline double exponential_less_1(double x) { return ::expm1(x); }
KD_HOST_DEVICE inline float exponential_less_1(float x) { return ::expm1f(x); }
KD_HOST_DEVICE inline double logarithm(double x) { return ::log(x); }
KD_HOST_DEVICE inline float logarithm(float x) { return ::logf(x); }
KD_HOST_DEVICE inline double root(double x) { return ::sqrt(x); }
KD_HOST_DEVICE inline float root(float x) { return ::sqrtf(x); }
KD_HOST_DEVICE inline double magnitude(double x) { return ::fabs(x); }
KD_HOST_DEVICE inline float magnitude(float x) { return ::fabsf(x); }

// x / by for many x, without a division each in float; -inf stays -inf.
template <class A>
struct Divisor {
  A by = 1;
  static Divisor of(double value) { return {A(value)}; }
  KD_HOST_DEVICE A divide(A x) const { return x / by; }
};
template <>
struct Divisor<float> {  // 1 / by in two parts: the quotient is as exact as a division's
  float high = 1, low = FLT_MIN;
  static Divisor of(double by) {
    const double exact = 1 / by;
    auto high = static_cast<float>(exact);
    if (double{high} > exact) high = std::nextafter(high, -HUGE_VALF);
    const auto low = static_cast<float>(exact - double{high});
    return {high, low > FLT_MIN ? low : FLT_MIN};  // above 0, so that -inf low is not NaN
  }
  KD_HOST_DEVICE float divide(float x) const { return ::fmaf(x, high, x * low); }
  KD_HOST_DEVICE float divide(float x, float then_add) const {
    return ::fmaf(x, high, ::fmaf(x, low, then_add));
  }
};

// Probabilities: e^x / sum.
template <class A>
struct Denominator {
  A by = 1;
  KD_HOST_DEVICE static Denominator of(A sum) { return {sum}; }
  KD_HOST_DEVICE A divide(A x) const { return x / by; }
};
template <>
struct Denominator<float> {
  float inverse = 1;
  KD_HOST_DEVICE static Denominator of(float sum) { return {1 / sum}; }
  KD_HOST_DEVICE float divide(float x) const { return x * inverse; }
};

// e^-u - 1 + u >= 0, with all its digits near 0, where it is u^2 / 2.
KD_HOST_DEVICE inline float excess(float u) {
  if (!(::fabsf(u) < 1)) return ::expf(-u) - 1 + u;
  float series = -1.0f / 39916800;  // sum of (-u)^n / (n + 2)!, error < 5e-9
  series = ::fmaf(series, u, 1.0f / 3628800);
  series = ::fmaf(series, u, -1.0f / 362880);
  series = ::fmaf(series, u, 1.0f / 40320);
  series = ::fmaf(series, u, -1.0f / 5040);
  series = ::fmaf(series, u, 1.0f / 720);
  series = ::fmaf(series, u, -1.0f / 120);
  series = ::fmaf(series, u, 1.0f / 24);
  series = ::fmaf(series, u, -1.0f / 6);
  series = ::fmaf(series, u, 0.5f);
  return u * u * series;
}

KD_HOST_DEVICE inline double excess(double u) { return ::expm1(-u) + u; }

// The same to 12 digits, |u| < 1.
KD_HOST_DEVICE inline double exact_excess(double u) {
  double sum = 1;
  for (int n = 15; n > 2; --n) sum = 1 - sum * u / n;
  return u * u / 2 * sum;
}

// Sum of e^x over x <= 0 whose largest is 0.
template <class A>
struct ExponentialSum {
  A sum = 0;
  KD_HOST_DEVICE void add(A /*x*/, A e) { sum += e; }
  KD_HOST_DEVICE A total() const { return sum; }
  KD_HOST_DEVICE A log() const { return ::log(sum); }
  // (e - sum) / sum + 1 - target, for e = e^x of the label.
  KD_HOST_DEVICE A gap(A /*x*/, A e, A target) const { return e / sum - target; }
};
template <>
struct ExponentialSum<float> {
  float tops = 0, rest = 0;  // how many x are 0; the sum of the others: log 1.00..01 needs it
  KD_HOST_DEVICE void add(float x, float e) {
    if (x == 0) {
      tops += 1;
    } else {
      rest += e;
    }
  }
  KD_HOST_DEVICE float total() const { return tops + rest; }
  KD_HOST_DEVICE float log() const { return ::log1pf((tops - 1) + rest); }
  KD_HOST_DEVICE float gap(float x, float e, float target) const {
    const float others = x == 0 ? (tops - 1) + rest : total() - e;
    return (1 - target) - others / total();
  }
  KD_HOST_DEVICE void raise(float factor) {
    if (factor == 1) return;
    rest = (tops + rest) * factor;
    tops = 0;
  }
  template <class F>
  KD_HOST_DEVICE void each_sum(F&& f) {
    f(tops), f(rest);
  }
};

// KL(p || q) of p ~ e^y, q ~ e^x: y = (t - m_t) / T, x = (s - m_s) / T.
template <class A>
struct Divergence {
  A sum_s = 0, sum_t = 0, cross = 0;
  Denominator<A> by_s, by_t;

  struct Element {
    A ds, dt, student, teacher;  // shifted logits, e^x, e^y
  };
  KD_HOST_DEVICE void add(const Element& e, A /*y - x*/) {
    sum_s += e.student;
    sum_t += e.teacher;
    if (e.teacher != A(0)) cross += e.teacher * (e.dt - e.ds);
  }
  KD_HOST_DEVICE void finish() {
    by_s = Denominator<A>::of(sum_s), by_t = Denominator<A>::of(sum_t);
  }
  KD_HOST_DEVICE A value(A temperature) const {
    return cross / (temperature * sum_t) - ::log(sum_t) + ::log(sum_s);
  }
  KD_HOST_DEVICE A difference(const Element& e, A /*y - x*/) const {  // q - p
    return by_s.divide(e.student) - by_t.divide(e.teacher);
  }
};
// Near-equal rows: with v = y - x, S = sum e^x, W = sum e^y, E = sum e^y (e^-v - 1) = S - W and
// G = sum e^y excess(v), KL = G / W - (E / W - log(1 + E / W)): G has no negative terms, but it is
// large beside the divergence where v is not about 0. So before the threads' sums are joined v is
// moved by log S / W (recentre), which makes E nearly 0. q - p = p (e^-u - 1), u = v + log S / W.
template <>
struct Divergence<float> {
  float sum_s = 0, sum_t = 0, sum_difference = 0, sum_excess = 0;  // S, W, E, G
  float log_ratio = 0, scale = 1, shift = 0;  // log S / W = shift - log scale, nearly
  float above = 0, grown = 0;                 // excess(shift), e^-shift - 1 as they were used
  Denominator<float> by_s, by_t;

  struct Element {
    float ds, dt, student, teacher;
  };
  KD_HOST_DEVICE void add(const Element& e, float v) {
    sum_s += e.student;
    sum_t += e.teacher;
    if (::fabsf(v) < 1) {
      const float excess_v = excess(v);
      sum_difference += e.teacher * (excess_v - v);
      sum_excess += e.teacher * excess_v;
    } else {
      const float difference = e.student - e.teacher;
      sum_difference += difference;
      sum_excess += e.teacher != 0 ? ::fmaf(e.teacher, v, difference) : difference;
    }
  }
  KD_HOST_DEVICE void finish() {
    by_s = Denominator<float>::of(sum_s), by_t = Denominator<float>::of(sum_t);
    log_ratio += ::log1pf(sum_difference / sum_t);
  }
  // All threads moved by the same rounded e^-shift - 1; its error is taken out here, by one thread.
  KD_HOST_DEVICE float value(float /*temperature*/) const {
    const double exact = exact_excess(shift);
    const auto above_off = static_cast<float>(exact - double{above});
    const auto grown_off = static_cast<float>((exact - double{shift}) - double{grown});
    const float ratio = scale * sum_s / sum_t;
    const float remaining = ::log1pf(::fmaf(ratio, grown_off, sum_difference / sum_t));
    return (sum_excess / sum_t + ::fmaf(ratio - 1, grown_off, above_off)) - excess(-remaining);
  }
  KD_HOST_DEVICE float difference(const Element& e, float v) const {
    const float u = v + log_ratio;
    if (::fabsf(u) < 1) return by_t.divide(e.teacher) * (excess(u) - u);
    return by_s.divide(e.student) - by_t.divide(e.teacher);
  }
  // The maxima rise: e^x, e^y shrink by these factors and every v grows by `by`.
  KD_HOST_DEVICE void raise(float factor_s, float factor_t, float by) {
    const float old_s = sum_s, old_t = sum_t;
    sum_s *= factor_s;
    sum_t *= factor_t;
    if (::fabsf(by) < 1) {
      move(old_s, old_t, by);
      sum_difference *= factor_t;
      sum_excess *= factor_t;
    } else {
      const float crossed =
          sum_t != 0 ? factor_t * ((sum_excess - sum_difference) + old_t * by) : 0;
      sum_difference = sum_s - sum_t;
      sum_excess = sum_difference + crossed;
    }
  }
  // This thread's E and G become those for v + log S / W; S and W are the row's from here on.
  KD_HOST_DEVICE void recentre(float row_s, float row_t) {
    constexpr float kLog2High = 0x1.62ep-1f, kLog2Low = 0x1.0bfbe8p-15f;  // high times n is exact
    const float wanted = ::logf(row_s / row_t);
    const float size = ::fabsf(wanted);
    const float n = size >= 1 && size < 80 ? ::rintf(wanted / (kLog2High + kLog2Low)) : 0;
    if (n != 0) {  // by a power of 2, whose logarithm is known in two parts
      scale = ::ldexpf(1.0f, static_cast<int>(-n));
      float crossed = sum_excess - sum_difference;
      crossed = ::fmaf(sum_t, n * kLog2Low, ::fmaf(sum_t, n * kLog2High, crossed));
      sum_difference = scale * sum_s - sum_t;
      sum_excess = sum_difference + crossed;
    }
    shift = (wanted - n * kLog2High) - n * kLog2Low;
    move(scale * sum_s, sum_t, shift);
    log_ratio = n * kLog2High + (n * kLog2Low + shift);
    sum_s = row_s, sum_t = row_t;
  }
  template <class F>
  KD_HOST_DEVICE void each_sum(F&& f) {
    f(sum_difference), f(sum_excess);
  }

 private:
  // v grows by |by| < 1.
  KD_HOST_DEVICE void move(float own_s, float own_t, float by) {
    above = excess(by), grown = above - by;
    sum_excess += ::fmaf(sum_difference, grown, own_t * above);
    sum_difference = ::fmaf(own_s, grown, sum_difference);
  }
};

// Mean and sum of squares about it: Welford 1962; parts are joined as Chan et al. 1979 do.
template <class A>
struct Spread {
  A count = 0, mean = 0, squares = 0;
  KD_HOST_DEVICE void add(A x) {
    count += 1;
    const A off = x - mean;
    mean += off / count;
    squares += off * (x - mean);
  }
  KD_HOST_DEVICE A sum() const { return mean * count; }
  // The squares become those about the row's mean.
  KD_HOST_DEVICE void recentre(A to) {
    const A off = mean - to;
    squares += count * off * off;
    mean = to;
  }
};

// Mean and mean square of differences, about 0 or about their mean.
template <class A>
struct Moments {
  A sum = 0, squares = 0, centre = 0;
  KD_HOST_DEVICE void add(A difference, bool /*centred*/) {
    sum += difference;
    squares += difference * difference;
  }
  KD_HOST_DEVICE void finish(A count, bool centred) { centre = centred ? sum / count : A(0); }
  KD_HOST_DEVICE A value(A count) const { return squares / count - centre * centre; }
};
template <>
struct Moments<float> {
  Spread<float> spread;
  float centre = 0;
  KD_HOST_DEVICE void add(float difference, bool centred) {
    if (centred) {
      spread.add(difference);
    } else {
      spread.squares = ::fmaf(difference, difference, spread.squares);
    }
  }
  KD_HOST_DEVICE float sum() const { return spread.sum(); }
  KD_HOST_DEVICE void recentre(float to) { spread.recentre(to), centre = to; }
  KD_HOST_DEVICE void finish(float /*classes*/, bool /*centred*/) {}  // recentre() did it
  KD_HOST_DEVICE float value(float classes) const { return spread.squares / classes; }
  template <class F>
  KD_HOST_DEVICE void each_sum(F&& f) {
    f(spread.squares);
  }
};

}  // namespace kd::kernels
