// A batch norm's vectors (C) in the forms that cuDNN's fused convolutions take them in.
//
// scale_bias_16: to = scale and bias rounded to f16. dgrad_vectors: inv_std = 1 / sqrt(var + eps),
// gamma = scale sqrt(var + eps), beta = bias + mean scale, the batch norm that scale and bias came
// from. Bytes: a few vectors; FLOPs: nothing to speak of; one thread a channel. NaN and infinities
// pass; a scale beyond f16 becomes infinite.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

struct ScaleBias16 {
  const float* scale = nullptr;
  const float* bias = nullptr;
  f16* to_scale = nullptr;
  f16* to_bias = nullptr;
  int64_t channels = 0;
};
void scale_bias_16(StreamRef stream, const ScaleBias16& args);

struct DgradVectors {
  const float* scale = nullptr;
  const float* bias = nullptr;
  const float* mean = nullptr;
  const float* var = nullptr;
  float* inv_std = nullptr;
  float* gamma = nullptr;
  float* beta = nullptr;
  int64_t channels = 0;
  float eps = 0;
};
void dgrad_vectors(StreamRef stream, const DgradVectors& args);

}  // namespace kd::kernels
