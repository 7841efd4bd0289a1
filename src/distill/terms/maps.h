// What terms over tapped layers share, in base ops. Maps are (N, H, W, C), values f32.
#pragma once

#include <vector>

#include "kd/term_ops.h"

namespace kd {

// The sum of one or more values of one shape.
Value sum_of(Graph& graph, const std::vector<Value>& values);

// sum over layers l = 1..L of 2^(l-L) x_l / pictures, given from the last to the first: scalars.
Value halving_mean(Graph& graph, const std::vector<Value>& last_first, int64_t pictures);

// mean (a - b)^2 over everything -> scalar.
Value mean_squared_difference(Graph& graph, Value a, Value b);

// 1 where x > 0 (from 1e-22 on; below, what is nearest), else 0. No gradient worth having.
Value is_positive(Graph& graph, Value x);

// (N, H, W, C) -> (N, height, width, C), height <= H and width <= W: output (i, j) is the mean of
// rows floor(i H / height) to ceil((i + 1) H / height) - 1, columns alike.
Value averaged_to(Graph& graph, Value x, int64_t height, int64_t width, std::string name = {});

// (N, H, W, C) -> (N, H * down, W * right, C), each element repeated.
Value repeated(Graph& graph, Value x, int64_t down, int64_t right);

// (N, H, W, C) -> (N, H * W, C)
Value places_by_channels(Graph& graph, Value x);

}  // namespace kd
