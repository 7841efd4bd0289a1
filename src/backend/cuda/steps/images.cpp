// place_images.
#include "kernels/images.h"

#include "backend/cuda/cuda.h"
#include "kd/error.h"

namespace kd::cuda {

StepPtr prepare_place_images(const PrepareRequest& request) {
  const Shape &pixels = in_shape(request, 0), &y = out_shape(request, 0);
  KD_CHECK(
      pixels[3] <= kernels::kMostPixelChannels && y[3] <= kernels::kMostImageChannels,
      "place_images '{}': pictures {} become {}, but the kernel takes {} channels and makes {} "
      "at most",
      request.node.name, pixels, y, kernels::kMostPixelChannels, kernels::kMostImageChannels);
  kernels::ImagesArgs planned;
  planned.type = type_of(out_desc(request, 0).dtype);
  planned.images = pixels[0];
  planned.height = static_cast<int>(pixels[1]);
  planned.width = static_cast<int>(pixels[2]);
  planned.pixel_channels = static_cast<int>(pixels[3]);
  planned.crop_height = static_cast<int>(y[1]);
  planned.crop_width = static_cast<int>(y[2]);
  planned.channels = static_cast<int>(y[3]);
  return make_step([args = planned](kernels::StreamRef stream, const Pointers& p) mutable {
    args.pixels = in<uint8_t>(p, 0);
    args.placements = in<int32_t>(p, 1);
    args.table = in<float>(p, 2);
    args.y = p.outputs[0];
    kernels::place_images(stream, args);
  });
}

}  // namespace kd::cuda
