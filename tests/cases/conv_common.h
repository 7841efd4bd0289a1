// What the convolution families share: one convolution's sizes, in the engine's and the oracle's
// terms.
#pragma once

#include <string>
#include <vector>

#include "cases/case.h"
#include "kd/ops.h"
#include "oracle/conv.h"

namespace kd::test {

struct ConvSizes {
  std::string name;
  Shape x, w;  // (N, H, W, C), (K, R, S, C/groups)
  Conv2dAttrs attrs;
};

oracle::Convolution to_oracle(const Conv2dAttrs& attrs);
Shape output_shape(const ConvSizes& sizes);
int64_t reduction(const ConvSizes& sizes);  // products summed up for an output

// Odd sizes, 1x1, strides, uneven padding, dilation, groups, depthwise; 3, 10 and 16 channels.
std::vector<ConvSizes> conv_sizes();

}  // namespace kd::test
