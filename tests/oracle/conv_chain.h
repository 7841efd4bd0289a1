// What lies between the convolutions of a batch-norm chain, by its definition.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

struct ChannelSums {
  Array sum, squares;  // (C): over all but the last axis
};
ChannelSums channel_sums(const Array& y);

struct Finalized {
  Array mean, var, scale, bias;
};
Finalized norm_finalize(const ChannelSums& sums, const Array& gamma, const Array& beta, double eps,
                        int64_t count);

Array scale_bias(const Array& x, const Array& scale, const Array& bias);  // over the last axis

// dy where z > 0, else 0.
Array where_positive(const Array& dy, const Array& z);

struct NormSums {
  Array dgamma, dbeta;
};
NormSums norm_sums(const Array& dz, const Array& x, const Array& mean, const Array& var,
                   double eps);
// gamma / sqrt(var + eps) (dz - dbeta / M - xhat dgamma / M)
Array norm_input_grad(const Array& dz, const Array& x, const Array& gamma, const Array& mean,
                      const Array& var, const NormSums& sums, double eps);

}  // namespace kd::oracle
