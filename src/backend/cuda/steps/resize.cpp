// resize_images.
#include "kernels/resize.h"

#include "backend/cuda/cuda.h"

namespace kd::cuda {

StepPtr prepare_resize_images(const PrepareRequest& request) {
  const Shape &x = in_shape(request, 0), &y = out_shape(request, 0);
  kernels::ResizeArgs planned;
  planned.type = type_of(out_desc(request, 0).dtype);
  planned.images = x[0];
  planned.channels = static_cast<int>(x[3]);
  planned.height = static_cast<int>(x[1]);
  planned.width = static_cast<int>(x[2]);
  planned.made_height = static_cast<int>(y[1]);
  planned.made_width = static_cast<int>(y[2]);
  return make_step([args = planned](kernels::StreamRef stream, const Pointers& p) mutable {
    args.x = p.inputs[0];
    args.y = p.outputs[0];
    kernels::resize_images(stream, args);
  });
}

}  // namespace kd::cuda
