// Batch norm in training, ReLU and max-pooling in one (norm.h, pool.h), and its gradient. What is
// pooled is neither stored nor read back.
//
//   y = max over the window of max((x - mean) scale + beta, 0); index as max_pool's
//   gradient: dy at the window's winner where y > 0, then batch norm's
//
// Forward: the statistics of norm.h (x once), then a pass over windows (x once, y and index
// written). Gradient: the sums walk the pooled positions and fetch x only at winners; the pass that
// applies gathers dy for each x (x once, dx once; dy, y and index once from DRAM, windows overlap
// in cache). With P pooled elements of 16 bits and X unpooled: 4 X + 3 P bytes forward, 6 X + 10 P
// backward. Values are compared before they are rounded. NaN as in norm.h and pool.h: a NaN wins
// its window, and gets no gradient.
#pragma once

#include "kernels/norm.h"
#include "kernels/pool.h"

namespace kd::kernels {

// Of both launchers: norm_workspace of x.
NormShape norm_shape(const PoolShape& shape);

struct NormPoolTrain {
  PoolShape shape;
  const void* x = nullptr;
  const float *gamma = nullptr, *beta = nullptr;
  double eps = 1e-5, momentum = 0.1;
  float *running_mean = nullptr, *running_var = nullptr;
  void* y = nullptr;
  float *mean = nullptr, *var = nullptr;
  uint8_t* index = nullptr;
  void* workspace = nullptr;
};
void norm_pool_train(StreamRef stream, const NormPoolTrain& args);

struct NormPoolBackward {
  PoolShape shape;
  const void* dy = nullptr;
  const uint8_t* index = nullptr;
  const void *y = nullptr, *x = nullptr;
  const float *gamma = nullptr, *mean = nullptr, *var = nullptr;
  double eps = 1e-5;
  void* dx = nullptr;
  float *dgamma = nullptr, *dbeta = nullptr;
  void* workspace = nullptr;
};
void norm_pool_backward(StreamRef stream, const NormPoolBackward& args);

}  // namespace kd::kernels
