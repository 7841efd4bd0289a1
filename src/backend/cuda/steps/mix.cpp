// mix_images.
#include "kernels/mix.h"

#include "backend/cuda/cuda.h"

namespace kd::cuda {

StepPtr prepare_mix_images(const PrepareRequest& request) {
  const Shape& x = in_shape(request, 0);
  kernels::MixArgs planned;
  planned.type = type_of(out_desc(request, 0).dtype);
  planned.images = x[0];
  planned.height = x[1];
  planned.width = x[2];
  planned.channels = x[3];
  return make_step([args = planned](kernels::StreamRef stream, const Pointers& p) mutable {
    args.x = p.inputs[0];
    args.partners = in<int32_t>(p, 1);
    args.shares = in<float>(p, 2);
    args.boxes = in<int32_t>(p, 3);
    args.y = p.outputs[0];
    kernels::mix_images(stream, args);
  });
}

}  // namespace kd::cuda
