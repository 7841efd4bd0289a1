// Bit masks of what a ReLU let through.
#include "kernels/mask.h"

#include "backend/cuda/cuda.h"

namespace kd::cuda {

StepPtr prepare_sign_mask(const PrepareRequest& request) {
  const TensorDesc& y = in_desc(request, 0);
  return make_step([type = type_of(y.dtype), count = y.shape.elements()](kernels::StreamRef stream,
                                                                         const Pointers& p) {
    kernels::sign_mask(stream, {type, count, p.inputs[0], out<uint8_t>(p, 0)});
  });
}

StepPtr prepare_apply_mask(const PrepareRequest& request) {
  const TensorDesc& x = in_desc(request, 0);
  return make_step([type = type_of(x.dtype), count = x.shape.elements()](kernels::StreamRef stream,
                                                                         const Pointers& p) {
    kernels::apply_mask(stream, {type, count, p.inputs[0], in<uint8_t>(p, 1), p.outputs[0]});
  });
}

}  // namespace kd::cuda
