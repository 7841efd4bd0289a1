// What the batch norm families share.
#pragma once

#include "cases/case.h"
#include "kd/ops.h"
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

}  // namespace kd::test
