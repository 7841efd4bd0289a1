// Batch norm over rows of channels, x (M, C) with M = N H W: statistics, inference and training.
//
//   mean = sum x / M, var = sum (x - mean)^2 / M      (biased; sums of x - x[0], so that nothing
//                                                       cancels where |mean| >> std)
//   y = (x - mean) gamma / sqrt(var + eps) + beta (+ residual), then max(., 0) where asked
//   running = (1 - momentum) running + momentum batch  (with the unbiased variance)
//
// Three launches: partial sums of rows split over blocks (reads x once), their sum for each
// channel (double), and the pass that applies (reads x and the residual, writes y and one bit an
// element of mask). M C elements of T: 2 M C (+ M C for the residual) sizeof(T) + M C / 8 bytes
// and about 8 M C FLOP. 8 channels a thread, one where C is not a multiple of 8. Every sum runs in
// a fixed order. A NaN or an infinity in a channel makes that channel's statistics NaN, and so all
// of its y; ReLU keeps NaN, whose mask bit is 0.
#pragma once

#include <cstddef>

#include "kernels/types.h"

namespace kd::kernels {

struct NormShape {
  Type type = Type::f32;  // of x, y, dy, dx, residuals; vectors of channels are f32
  int64_t rows = 0, channels = 0;
};

// Workspace of norm_train and norm_backward.
size_t norm_workspace(const NormShape& shape);

// Sums over rows: element c of partial p at [p * stride + c]; `shift` (C), if given, was
// subtracted from every x.
struct NormSums {
  const float *sum = nullptr, *square = nullptr;
  const float* shift = nullptr;
  int64_t partials = 1, stride = 0;
};
// Sums to statistics. Without a shift var is sum x^2 / M - mean^2, which cancels where |mean| >>
// std: it is 0 then, never negative. Reads 2 C floats a partial.
struct NormFinalize {
  NormSums sums;
  int64_t rows = 0, channels = 0;
  const float *gamma = nullptr, *beta = nullptr;  // needed for scale, bias
  double eps = 1e-5, momentum = 0.1;
  float *mean = nullptr, *var = nullptr;
  float *running_mean = nullptr, *running_var = nullptr;  // updated, if given
  float* scale = nullptr;                                 // gamma / sqrt(var + eps), if given
  float* bias = nullptr;                                  // beta - mean scale, if given
};
void norm_finalize(StreamRef stream, const NormFinalize& args);

// Mean and variance of x, the running ones' update, and gamma / sqrt(var + eps).
struct NormStatistics {
  NormShape shape;
  const void* x = nullptr;
  const float* gamma = nullptr;
  double eps = 1e-5, momentum = 0.1;
  float *running_mean = nullptr, *running_var = nullptr;
  float *mean = nullptr, *var = nullptr, *scale = nullptr;
  void* workspace = nullptr;
};
void norm_statistics(StreamRef stream, const NormStatistics& args);
// The part of `workspace` that neither statistics nor reductions use: f32 (3, C).
float* norm_scratch(const NormShape& shape, void* workspace);

struct NormTrain {
  NormShape shape;
  const void *x = nullptr, *residual = nullptr;
  const float *gamma = nullptr, *beta = nullptr;
  double eps = 1e-5, momentum = 0.1;
  bool relu = false;
  float *running_mean = nullptr, *running_var = nullptr;
  void* y = nullptr;
  float *mean = nullptr, *var = nullptr;
  uint8_t* mask = nullptr;  // bit i % 8 of byte i / 8: y[i] > 0
  void* workspace = nullptr;
};
void norm_train(StreamRef stream, const NormTrain& args);

// With given statistics. One small launch for the scales, one that applies; workspace f32 (C).
struct NormInference {
  NormShape shape;
  const void* x = nullptr;
  const float *gamma = nullptr, *beta = nullptr, *mean = nullptr, *var = nullptr;
  double eps = 1e-5;
  void* y = nullptr;
  float* workspace = nullptr;
};
void norm_inference(StreamRef stream, const NormInference& args);

}  // namespace kd::kernels
