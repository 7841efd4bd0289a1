#include "kernels/norm_vectors.h"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

__global__ void to_16(ScaleBias16 args) {
  for (int64_t c = first_item(); c < args.channels; c += item_step()) {
    args.to_scale[c] = from_float<f16>(args.scale[c]);
    args.to_bias[c] = from_float<f16>(args.bias[c]);
  }
}

__global__ void to_norm(DgradVectors args) {
  for (int64_t c = first_item(); c < args.channels; c += item_step()) {
    const float std = sqrtf(args.var[c] + args.eps), scale = args.scale[c];
    args.inv_std[c] = 1 / std;
    args.gamma[c] = scale * std;
    args.beta[c] = args.bias[c] + args.mean[c] * scale;
  }
}

}  // namespace

void scale_bias_16(StreamRef stream, const ScaleBias16& args) {
  launch(stream, grid_for(args.channels, 128), to_16, args);
}

void dgrad_vectors(StreamRef stream, const DgradVectors& args) {
  launch(stream, grid_for(args.channels, 128), to_norm, args);
}

}  // namespace kd::kernels
