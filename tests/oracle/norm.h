// Batch normalisation over all but the last axis.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

struct Statistics {
  Array mean, var;  // (C); var is biased
};
Statistics batch_statistics(const Array& x);

// gamma (x - mean) / sqrt(var + eps) + beta
struct Normalisation {
  Array gamma, beta, mean, var;
  double eps;
};
Array batch_norm(const Array& x, const Normalisation& norm);

struct NormGradient {
  Array dx, dgamma, dbeta;
};
// Of training batch norm, where mean and var are those of x (beta is not read).
NormGradient batch_norm_backward(const Array& dy, const Array& x, const Normalisation& norm);

// (1 - momentum) running + momentum batch
Array running(const Array& old, const Array& batch, double momentum);
// Biased variance of n samples -> unbiased (n = 1 stays).
Array unbiased(const Array& var, int64_t n);

}  // namespace kd::oracle
