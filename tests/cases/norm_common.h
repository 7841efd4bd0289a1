// What the batch norm families share.
#pragma once

#include "cases/case.h"
#include "kd/fused_ops.h"
#include "oracle/norm.h"

namespace kd::test {

struct NormSizes {
  std::string name;
  Shape x;
  Fill fill = normal(2, 0.5);
  bool residual = false;
  BatchNormAttrs attrs = {};
  int64_t rows() const { return x[0] * x[1] * x[2]; }
  bool blocked() const { return x[3] == 16 || x[3] == 24; }
};
std::vector<NormSizes> norm_sizes();

// Statistics of an earlier leaf.
Fill mean_of(size_t x);
Fill variance_of(size_t x);
// What a ReLU may give: 0 for about half of the elements.
Fill rectified();

// x, gamma, beta, running_mean, running_var of training, all differentiable or updated.
std::vector<Leaf> norm_leaves(const NormSizes& sizes, bool training);
BatchNormWeights norm_weights(const std::vector<Value>& leaves);

std::vector<Case> norm_pool_cases();  // of the ops that pool what is normalised

}  // namespace kd::test
