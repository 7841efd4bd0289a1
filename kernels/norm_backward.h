// The gradient of training batch norm (norm.h), where mean and var are those of x:
//
//   dy' = dy, or 0 where the ReLU after the norm gave 0 (told by y > 0, or by the bits of a mask)
//   dbeta = sum dy', dgamma = sum dy' (x - mean) / s, s = sqrt(var + eps)
//   dx = gamma / s (dy' - dbeta / M - (x - mean) / s dgamma / M), dresidual = dy'
//
// Three launches: partial sums (reads dy, x and the gate), their sum for each channel (double), and
// the pass that applies (reads the same again, writes dx and dresidual). M C elements of T: 5 M C
// (+ 2 M C for y, or M C / 4 bytes for a mask, + M C for dresidual) sizeof(T), about 10 M C FLOP.
// Threads and order of sums as in norm.h. A NaN in dy' or x makes its channel's dx NaN.
#pragma once

#include "kernels/norm.h"

namespace kd::kernels {

struct NormBackward {
  NormShape shape;
  const void *dy = nullptr, *x = nullptr;
  const void* y = nullptr;        // the ReLU's output, or
  const uint8_t* mask = nullptr;  // its bits (mask.h), or neither
  const float *gamma = nullptr, *mean = nullptr, *var = nullptr;
  double eps = 1e-5;
  void* dx = nullptr;
  float *dgamma = nullptr, *dbeta = nullptr;
  void* dresidual = nullptr;  // if given
  void* workspace = nullptr;  // norm_workspace(shape)
};
void norm_backward(StreamRef stream, const NormBackward& args);

// The middle launch on its own: sums of dy' and of dy' (x - mean) to dgamma, dbeta and what the
// pass needs, dx = dy' scale + (x - mean) slope + offset, with scale, slope, offset in f32 (3, C).
struct NormGradientFinalize {
  NormSums sums;  // no shift
  int64_t rows = 0, channels = 0;
  const float *gamma = nullptr, *var = nullptr;
  double eps = 1e-5;
  float *dgamma = nullptr, *dbeta = nullptr, *coefficients = nullptr;
};
void norm_gradient_finalize(StreamRef stream, const NormGradientFinalize& args);

}  // namespace kd::kernels
