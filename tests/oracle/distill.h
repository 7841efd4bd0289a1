// The terms of a distillation objective by their definitions, and their gradients.
// s: student logits (B, K), t: teacher logits (B, K), labels (B); p_T(z) = softmax(z / T).
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

struct Term {
  double value;
  Array gradient;  // d value / d s, (B, K)
};

// Labels (B), -1: none; of mixed pictures also the partners' (B) and the labels' shares (B).
struct Labels {
  Array own, partner = {}, shares = {};
};

// mean_i - sum_k q_ik log p_ik, q = (1 - smoothing) [k = y_i] + smoothing / K; 0 without a label;
// NaN if one is outside [0, K).
Term cross_entropy(const Array& s, const Labels& labels, double smoothing);
// T^2 mean_i sum_k p_T(t)_ik log(p_T(t)_ik / p_T(s)_ik)
Term kl(const Array& s, const Array& t, double temperature);
// mean over B and K of (s - t)^2, rows less their means if centred.
Term squared_error(const Array& s, const Array& t, bool centred);
// m CE(w, softmax(s / m)); w = p_T(t), or t / sum(t) of each row (`temperature` <= 0).
Term lse_margin(const Array& s, const Array& t, double margin, double temperature);
// mean_i [ -beta LSE(s_i / m) - sum_k t s / sum_k t ]
Term lse_margin_literal(const Array& s, const Array& t, double margin, double beta);
// - mean_i log p_i,argmax t_i, of equal logits the first; soft: - mean_i sum_k p(t)_ik log p(s)_ik
Term teacher_cross_entropy(const Array& s, const Array& t, bool soft);
// - mean_i a log p_y + b log p_argmax t + (1 - a - b) log p_argmax s; 0 without a label.
struct HardMix {
  double label, teacher;  // a, b
};
Term hard_mix(const Array& s, const Array& t, const Labels& labels, const HardMix& shares);
// Decoupled: alpha T^2 KL of (p_y, 1 - p_y) + beta T^2 KL over the other classes; 0 without a
// label.
struct Decoupled {
  double alpha, beta, temperature;
};
Term decoupled(const Array& s, const Array& t, const Array& labels, const Decoupled& of);
// kl() of (x - mean) / (sd + 1e-7), sd of K - 1.
Term standardised_kl(const Array& s, const Array& t, double temperature);
// kl() of m (x - mean) / sqrt(mean (x - mean)^2 + 1e-7).
Term spherical_kl(const Array& s, const Array& t, double temperature, double multiplier);
// T^2 mean_i (KL(p_T(s) || p_T(t)) + KL(p_T(t) || p_T(s))) / 2
Term jeffreys(const Array& s, const Array& t, double temperature);

}  // namespace kd::oracle
