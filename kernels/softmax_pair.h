// Two softmaxes of one row compared in log space: q of the student, p of the teacher. With
// u = log p - log q, exact where p and q vanish, KL(p || q) = sum p (e^-u - 1 + u): no part is
// negative, so the divergence of near-equal rows keeps its digits.
#pragma once

#include "kernels/distill_sums.h"

namespace kd::kernels {

// Two softmaxes of a row: q ~ e^x, x = by_s (s - max_s), p ~ e^y likewise.
template <class A>
struct SoftmaxPair {
  A by_s = 1, by_t = 1;
  A max_s = 0, max_t = 0;
  A sums[2] = {0, 0};  // of e^x, e^y
  A log_ratio = 0;     // of the sums
  Denominator<A> of_s, of_t;

  struct Element {
    A x, q, p, u;  // u = log p - log q
  };
  KD_HOST_DEVICE void start(A scale_s, A scale_t, float largest_s, float largest_t) {
    by_s = scale_s, by_t = scale_t, max_s = largest_s, max_t = largest_t;
  }
  KD_HOST_DEVICE void scan(float s, float t) {
    sums[0] += exponential(by_s * (A(s) - max_s));
    sums[1] += exponential(by_t * (A(t) - max_t));
  }
  KD_HOST_DEVICE void finish() {
    of_s = Denominator<A>::of(sums[0]), of_t = Denominator<A>::of(sums[1]);
    log_ratio = logarithm(sums[0] / sums[1]);
  }
  KD_HOST_DEVICE Element at(float s, float t) const {
    const A x = by_s * (A(s) - max_s), y = by_t * (A(t) - max_t);
    // Equal scales: exact where t is near s, up to a constant.
    const A apart = by_s == by_t ? by_s * ((A(t) - A(s)) - (max_t - max_s)) : y - x;
    return {x, of_s.divide(exponential(x)), of_t.divide(exponential(y)), apart + log_ratio};
  }
  // What an element adds to KL(p || q), to KL(q || p), and q - p.
  KD_HOST_DEVICE static A forward(const Element& e) { return divergence(e.p, e.q, e.u); }
  KD_HOST_DEVICE static A backward(const Element& e) { return divergence(e.q, e.p, -e.u); }
  KD_HOST_DEVICE static A difference(const Element& e) {
    return magnitude(e.u) < 1 ? e.p * (excess(e.u) - e.u) : e.q - e.p;
  }

 private:
  KD_HOST_DEVICE static A divergence(A p, A q, A u) {
    if (p == 0) return q;
    return magnitude(u) < 1 ? p * excess(u) : q - p + p * u;
  }
};

// A row's logits standardised: z = gain (s - mean) / scale.
template <class A>
struct Standard {
  A scale = 1, slope = 0;  // d scale / d s_k = slope (s_k - mean)
  KD_HOST_DEVICE static Standard by_deviation(A squares, A count) {
    const A freedom = count > 1 ? count - 1 : A(1), deviation = root(squares / freedom);
    return {deviation + A(1e-7), deviation == 0 ? A(0) : 1 / (freedom * deviation)};
  }
  KD_HOST_DEVICE static Standard by_norm(A squares, A count) {
    const A scale = root(squares / count + A(1e-7));
    return {scale, 1 / (count * scale)};
  }
};

// T^2 KL(p || q) of standardised rows.
template <class A>
struct StandardDivergence {
  SoftmaxPair<A> pair;
  A moved[2] = {0, 0};  // the divergence, and sum (q - p) x: what the student's scale does to it
  A pull = 0;           // of the gradient, through the scale
  KD_HOST_DEVICE void start(const Standard<A>& s, const Standard<A>& t, A gain) {
    pair.by_s = gain / s.scale, pair.by_t = gain / t.scale;
    pull = s.slope / s.scale;
  }
  KD_HOST_DEVICE void compare(float s, float t) {
    const auto e = pair.at(s, t);
    moved[0] += pair.forward(e);
    if (e.q != 0 || e.p != 0) moved[1] += pair.difference(e) * e.x;
  }
  KD_HOST_DEVICE void finish() { pull *= moved[1]; }
  KD_HOST_DEVICE A grad(float s, float t, A off_mean) const {
    return pair.by_s * pair.difference(pair.at(s, t)) - pull * off_mean;
  }
};

// log(1 + e^z)
KD_HOST_DEVICE inline double softplus(double z) {
  return (z > 0 ? z : 0) + ::log1p(::exp(-magnitude(z)));
}
// KL of two outcomes whose log odds are t and s.
KD_HOST_DEVICE inline double binary_divergence(double t, double s) {
  const double p = 1 / (1 + ::exp(-t));
  return (p == 0 ? 0 : p * (t - s)) - softplus(t) + softplus(s);
}
// sigmoid(s) - sigmoid(t)
template <class A>
KD_HOST_DEVICE A sigmoid_difference(A s, A t) {
  if (s == t) return 0;
  const A high = s > t ? s : t, low = s > t ? t : s;
  const A gap =
      -exponential_less_1(low - high) / ((1 + exponential(-high)) * (1 + exponential(low)));
  return s > t ? gap : -gap;
}

}  // namespace kd::kernels
