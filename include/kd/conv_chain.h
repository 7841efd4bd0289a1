// The ops of batch-norm chains: normalisation inside the convolutions around it.
// fuse_conv_norm_chain makes them after differentiate; they have no gradients of their own. x, y,
// w, residual, dy, dz, dx share one float type; scale, bias, all statistics and their gradients are
// f32 (C). M = N H W.
#pragma once

#include "kd/ops.h"

namespace kd {

// A normalised activation max(x scale + bias, 0), x (N, H, W, C), which is not stored where
// everything that reads it can take this triple instead.
struct Scaled {
  Value x, scale, bias;
};
struct ConvStats {
  Value y, sum, sum_of_squares;  // (N, H', W', K); (K): over N, H', W' of y and y^2, y as stored
};
// y = conv2d(x, w), and its sums. FUSED.
ConvStats conv2d_stats(Graph&, Value x, Value w, const Conv2dAttrs& = {}, std::string name = {});
struct NormFinalizeAttrs {
  double eps = 1e-5;
  double momentum = 0.1;  // as of batch_norm_train
  int64_t count = 0;      // values a channel's sums are over
  template <class F>
  void fields(F&& f) {
    f("eps", eps), f("momentum", momentum), f("count", count);
  }
};
struct NormFinalized {
  Value mean, var, scale, bias;
};
// mean = sum / count, var = max(0, sum_of_squares / count - mean^2), scale = gamma / sqrt(var +
// eps), bias = beta - mean scale; updates the running statistics as batch_norm_train does. The
// difference cancels where |mean| >> std: relative error of var = eps(f32) (1 + mean^2 / var).
NormFinalized norm_finalize(Graph&, Value sum, Value sum_of_squares, const BatchNormWeights&,
                            const NormFinalizeAttrs&, std::string name = {});
// y = max(x scale + bias + r, 0), r = 0, residual, or residual scale + bias (an unactivated batch
// norm of its own). NaN stays NaN. FUSED.
Value scale_bias_relu(Graph&, const Scaled& x, const Scaled& residual = {}, std::string name = {});
// conv2d_stats of max(x scale + bias, 0); the convolution pads with zeros after the ReLU. FUSED.
ConvStats scale_bias_relu_conv2d_stats(Graph&, const Scaled& x, Value w, const Conv2dAttrs& = {},
                                       std::string name = {});
// dw (K, R, S, C/groups) = conv2d_wgrad(max(x scale + bias, 0), dy), padded likewise. FUSED.
Value scale_bias_relu_conv2d_wgrad(Graph&, const Scaled& x, Value dy, const Conv2dGradAttrs&,
                                   std::string name = {});
struct Conv2dDgradNormAttrs {
  Conv2dAttrs conv;
  std::array<int, 2> size{0, 0};  // H, W of x
  double eps = 1e-5;
  template <class F>
  void fields(F&& f) {
    conv.fields(f), f("size", size), f("eps", eps);
  }
};
struct ReluNormGrad {
  Value dz, dgamma, dbeta;  // (N, H, W, C), f32 (C), f32 (C)
};
// dz = conv2d_dgrad(dy, w) where x scale + bias > 0, else 0; dbeta = sum dz, dgamma = sum dz xhat,
// xhat = (x - mean) / sqrt(var + eps), both over N, H, W. FUSED.
ReluNormGrad conv2d_dgrad_relu_norm(Graph&, Value dy, Value w, const Scaled& x, Value mean,
                                    Value var, const Conv2dDgradNormAttrs&, std::string name = {});
struct NormInputGradAttrs {
  double eps = 1e-5;
  template <class F>
  void fields(F&& f) {
    f("eps", eps);
  }
};
// dx = gamma / sqrt(var + eps) (dz - dbeta / M - xhat dgamma / M).
Value norm_input_grad(Graph&, const ReluNormGrad&, Value x, Value gamma, Value mean, Value var,
                      const NormInputGradAttrs&, std::string name = {});

}  // namespace kd
