// Ops that passes put in the place of others (passes.h), and what they stand on; kd/ops.h has those
// that models are made of.
#pragma once

#include "kd/ops.h"

namespace kd {

// --- bit masks -----------------------------------------------------------------------------------
// u8 (ceil(elements / 8)): bit i % 8 of byte i / 8 is y[i] > 0; spare bits are 0.
Value sign_mask(Graph&, Value y, std::string name = {});
// x where the mask's bit is set, else 0.
Value apply_mask(Graph&, Value x, Value mask, std::string name = {});

// --- batch norm --------------------------------------------------------------------------------
// batch_norm_relu_train that also writes sign_mask(y), which its gradient reads instead of y.
// FUSED.
struct BatchNormMasked {
  Value y, mean, var, mask;
};
BatchNormMasked batch_norm_relu_mask_train(Graph&, Value x, const BatchNormWeights&,
                                           Value residual /* may be empty */,
                                           const BatchNormAttrs& = {}, std::string name = {});

// --- stem ----------------------------------------------------------------------------------------
struct BatchNormPoolAttrs {
  BatchNormAttrs norm;
  PoolAttrs pool;
  template <class F>
  void fields(F&& f) {
    norm.fields(f), pool.fields(f);
  }
};
struct BatchNormPooled {
  Value y, mean, var, index;  // y and index: max_pool's
};
// batch_norm_relu_train, then max_pool; what is pooled is never stored. FUSED.
BatchNormPooled batch_norm_relu_max_pool_train(Graph&, Value x, const BatchNormWeights&,
                                               const BatchNormPoolAttrs&, std::string name = {});

}  // namespace kd
