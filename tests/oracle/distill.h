// The terms of a distillation objective by their definitions, and their gradients.
// s: student logits (B, K), t: teacher logits (B, K), labels (B); p_T(z) = softmax(z / T).
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

struct Term {
  double value;
  Array gradient;  // d value / d s, (B, K)
};

// mean_i - sum_k q_ik log p_ik, q = (1 - smoothing) [k = y_i] + smoothing / K; NaN if a label is
// outside [0, K).
Term cross_entropy(const Array& s, const Array& labels, double smoothing);
// T^2 mean_i sum_k p_T(t)_ik log(p_T(t)_ik / p_T(s)_ik)
Term kl(const Array& s, const Array& t, double temperature);
// mean over B and K of (s - t)^2, rows less their means if centred.
Term squared_error(const Array& s, const Array& t, bool centred);
// m CE(w, softmax(s / m)); w = p_T(t), or t / sum(t) of each row (`temperature` <= 0).
Term lse_margin(const Array& s, const Array& t, double margin, double temperature);
// mean_i [ -beta LSE(s_i / m) - sum_k t s / sum_k t ]
Term lse_margin_literal(const Array& s, const Array& t, double margin, double beta);

}  // namespace kd::oracle
