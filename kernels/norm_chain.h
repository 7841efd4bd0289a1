// What stands between the fused convolutions of a batch-norm chain. x is (M, C) row-major, M = N H
// W; x, residual, y, dz, dx are of `type` (f32, f16, bf16), vectors (C) are f32, arithmetic is in
// float.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

// y = max(x scale + bias + r, 0): r = 0 (no residual), residual, or residual residual_scale +
// residual_bias. NaN stays NaN, -inf becomes 0. One pass, 2 (3 with a residual) elements moved and
// 3 FLOPs (5, 6) for each. y may be x or residual.
struct ScaleBiasRelu {
  Type type;
  const void* x;
  const float *scale, *bias;
  const void* residual;                         // or null
  const float *residual_scale, *residual_bias;  // or null
  void* y;
  int64_t rows, channels;
};
void scale_bias_relu(StreamRef stream, const ScaleBiasRelu& a);

// dx = gamma inv (dz - dbeta / M - xhat dgamma / M), inv = 1 / sqrt(var + eps), xhat = (x - mean)
// inv. One pass, 3 elements moved and 4 FLOPs for each. dx may be dz.
struct NormInputGrad {
  Type type;
  const void *dz, *x;
  const float *gamma, *mean, *var, *dgamma, *dbeta;
  void* dx;
  int64_t rows, channels;
  double eps;
};
void norm_input_grad(StreamRef stream, const NormInputGrad& a);

// How both passes map threads to data: a thread keeps 16 bytes' worth of channels, whose constants
// stay in its registers, and walks down 8 rows, 4 loads of each operand in flight. A block of 256
// covers 256 neighbouring vectors: as many channels as there are (at most 256 vectors), then rows.
// Where C is no multiple of the vector, or an operand is not aligned to it, vectors are of one
// element.

}  // namespace kd::kernels
