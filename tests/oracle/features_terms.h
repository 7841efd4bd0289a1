// Terms over feature maps and what they are made of, in float64. Maps are (N, H, W, C).
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

// mean 1/2 [(mu - t)^2 / v_c + log v_c], v = log(1 + exp(a)) + 1e-5 of the last axis.
double variational(const Array& mu, const Array& t, const Array& a);

// sum of max(m - s, 0)^2 where t > 0, of max(m + s, 0)^2 elsewhere.
double boundary_crossings(const Array& s, const Array& t, double margin);

// max(x, mean of the channel's negative values).
Array margin_relu(const Array& x);
// sum of (s - t)^2, but for places where s <= t <= 0.
double partial_distance(const Array& s, const Array& t);

// Every output averages the rows and columns that its share of the map touches.
Array touched_averages(const Array& x, int64_t height, int64_t width);
// Squared distances of both maps and of their 4 x 4, 2 x 2, 1 x 1 averages, weighed 1, 1/2, ...
double context_distance(const Array& s, const Array& t);
// g_1 own + g_2 deeper at each place, the deeper map enlarged by repetition; w (2, 1, 1, 2 C).
Array attention_fusion(const Array& own, const Array& deeper, const Array& w, const Array& b);

// mean over pictures of MMD^2 with (x . y)^2 over channels' unit maps.
double polynomial_mmd(const Array& s, const Array& t);

// (N, C1, C2): mean over places of x_i y_j, both at the smaller size.
Array flow(const Array& x, const Array& y);

// mean_i log sum_k exp z_k - z_y
double cross_entropy(const Array& logits, const Array& labels);

}  // namespace kd::oracle
