// Terms over relations between pictures, in float64. s of the student, t of the teacher: logits
// (N, K), or a layer (N, ...).
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

struct Dist {
  double tau = 4, beta = 1, gamma = 1;
};
double dist(const Array& s, const Array& t, const Dist& dist);

double similarity_preserving(const Array& s, const Array& t);

struct Relational {
  double distance = 25, angle = 50;
};
double relational(const Array& s, const Array& t, const Relational& weights);

double probabilistic_transfer(const Array& s, const Array& t);

double correlation_congruence(const Array& s, const Array& t, double gamma);

// Rows (N, D) of L2 norm 1.
Array unit_rows(const Array& x);

// Anchors (N, D) against rows of the bank (M, D): index (N, 1 + K) holds each one's own, then its
// negatives. Noise contrastive estimation, with P(row) = exp(<anchor, row> / T) / Z as it stands.
double noise_contrast(const Array& anchors, const Array& bank, const Array& index,
                      double temperature);

}  // namespace kd::oracle
