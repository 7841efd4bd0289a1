// What stands between the fused convolutions of a batch-norm chain, beside norm_finalize (norm.h).
// x is (M, C) row-major, M = N H W; x, residual, y, dz, dx are of `type` (f32, f16, bf16), vectors
// (C) are f32, arithmetic is in float. One pass each; threads over data as in norm.h's last pass: 8
// channels a thread, whose constants stay in registers, and rows from the last to the first, since
// the convolution before has left the last ones in the cache; one channel where C is no multiple of
// 8 or an operand is not aligned to 8 elements (vectors need not be).
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

// y = max(x scale + bias + r, 0): r = 0 (no residual), residual, or residual residual_scale +
// residual_bias. NaN stays NaN, -inf becomes 0. 2 (3 with a residual) elements moved and
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
// inv. 3 elements moved and 4 FLOPs for each. dx may be dz.
struct NormInputGrad {
  Type type;
  const void *dz, *x;
  const float *gamma, *mean, *var, *dgamma, *dbeta;
  void* dx;
  int64_t rows, channels;
  double eps;
};
void norm_input_grad(StreamRef stream, const NormInputGrad& a);

}  // namespace kd::kernels
