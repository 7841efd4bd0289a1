#include "kernels/bias.h"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

template <class T>
__global__ void add_bias(T* __restrict__ y, const T* __restrict__ bias, int64_t count,
                         int64_t columns) {
  for (int64_t i = first_item(); i < count; i += item_step()) {
    y[i] = from_float<T>(to_float(y[i]) + to_float(bias[i % columns]));
  }
}

template <class T>
void launch_as(StreamRef stream, const BiasRows& args) {
  const int64_t count = args.rows * args.columns;
  launch(stream, grid_for(count), add_bias<T>, static_cast<T*>(args.y),
         static_cast<const T*>(args.bias), count, args.columns);
}

}  // namespace

void add_bias_rows(StreamRef stream, const BiasRows& args) {
  switch (args.type) {
    case Type::f16:
      return launch_as<f16>(stream, args);
    case Type::bf16:
      return launch_as<bf16>(stream, args);
    default:
      return launch_as<float>(stream, args);
  }
}

}  // namespace kd::kernels
