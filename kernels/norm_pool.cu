#include "kernels/norm_backward.h"
#include "kernels/norm_pool.h"
#include "kernels/norm_sums.cuh"
#include "kernels/pool_window.cuh"

namespace kd::kernels {
namespace {

template <int kCount>
struct NormRelu {
  Floats<kCount> mean, scale, beta;
  __device__ Floats<kCount> operator()(const Floats<kCount>& x) const {
    Floats<kCount> y;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float value = (x.at[i] - mean.at[i]) * scale.at[i] + beta.at[i];
      y.at[i] = value < 0 ? 0 : value;  // NaN stays NaN
    }
    return y;
  }
};

template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads, 3)
    forward_kernel(Pooling shape, NormPoolTrain a, const float* __restrict__ scale) {
  const int64_t group = tile_group(), channel = group * kCount;
  if (channel >= shape.channels) return;
  const NormRelu<kCount> map{channel_floats<kCount>(a.mean, group),
                             channel_floats<kCount>(scale, group),
                             channel_floats<kCount>(a.beta, group)};
  const T* __restrict__ x = static_cast<const T*>(a.x) + channel;
  T* __restrict__ y = static_cast<T*>(a.y) + channel;
  const int64_t count = shape.images * shape.rows.pooled * shape.columns.pooled;
  for (int64_t out = tile_row(); out < count; out += tile_row_step()) {
    const Position at = shape.split_pooled(out);
    const Best<kCount> best = window_maximum<kCount>(shape, x, at, map);
    store(y + out * shape.channels, from_floats<kCount, T>(best.value));
    store(a.index + out * shape.channels + channel, best.place);
  }
}

// dy where y > 0.
template <int kCount, class T>
__device__ Floats<kCount> gated(const T* __restrict__ dy, const T* __restrict__ y, int64_t at) {
  Floats<kCount> d = to_floats(load<kCount>(dy + at));
  const Floats<kCount> passed = to_floats(load<kCount>(y + at));
#pragma unroll
  for (int i = 0; i < kCount; ++i) d.at[i] = passed.at[i] > 0 ? d.at[i] : 0.0f;
  return d;
}

template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads, 3)
    sums_kernel(Pooling shape, NormPoolBackward a, float* __restrict__ partials) {
  const int64_t group = tile_group(), channel = group * kCount;
  const int64_t channels = shape.channels;
  float sums[2 * kCount] = {};
  if (channel < channels) {
    const auto mean = channel_floats<kCount>(a.mean, group);
    const int64_t count = shape.images * shape.rows.pooled * shape.columns.pooled;
    for (int64_t out = tile_row(); out < count; out += tile_row_step()) {
      const Position at = shape.split_pooled(out);
      const int64_t offset = out * channels + channel;
      const Vec<uint8_t, kCount> place = load<kCount>(a.index + offset);
      const Floats<kCount> d =
          gated<kCount>(static_cast<const T*>(a.dy), static_cast<const T*>(a.y), offset);
      const int top = at.row * shape.rows.stride - shape.rows.before;
      const int left = at.column * shape.columns.stride - shape.columns.before;
      Floats<kCount> x;
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const auto down = static_cast<int>(shape.width(place.at[i]));
        const int row = top + down, column = left + place.at[i] - down * shape.columns.window;
        x.at[i] = to_float(
            place_in(static_cast<const T*>(a.x) + channel, shape, at.image, row, column)[i]);
      }
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        sums[i] += d.at[i];
        sums[kCount + i] += d.at[i] * (x.at[i] - mean.at[i]);
      }
    }
  }
  store_sums<kCount>(sums, group, channels, partials);
}

template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads, sizeof(T) == 4 ? 2 : 3)
    apply_kernel(Pooling shape, NormPoolBackward a, const float* __restrict__ coefficients) {
  const int64_t group = tile_group(), channel = group * kCount;
  const int64_t channels = shape.channels;
  if (channel >= channels) return;
  const auto mean = channel_floats<kCount>(a.mean, group);
  const auto scale = channel_floats<kCount>(coefficients, group);
  const auto slope = channel_floats<kCount>(coefficients + channels, group);
  const auto offset = channel_floats<kCount>(coefficients + 2 * channels, group);
  const T* __restrict__ x = static_cast<const T*>(a.x) + channel;
  T* __restrict__ dx = static_cast<T*>(a.dx) + channel;
  const int64_t count = shape.images * shape.rows.size * shape.columns.size;
  for (int64_t in = tile_row(); in < count; in += tile_row_step()) {
    const Position at = shape.split(in);
    const Vec<T, kCount> raw = load<kCount>(x + in * channels);
    Floats<kCount> d = sum_of_choosers<kCount>(shape, at, a.index, channel, [&](int64_t pooled) {
      return gated<kCount>(static_cast<const T*>(a.dy), static_cast<const T*>(a.y), pooled);
    });
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float off = to_float(raw.at[i]) - mean.at[i];
      d.at[i] = d.at[i] * scale.at[i] + off * slope.at[i] + offset.at[i];
    }
    store(dx + in * channels, from_floats<kCount, T>(d));
  }
}

template <class T>
bool all_aligned(const PoolShape& shape, std::initializer_list<const void*> floats,
                 const uint8_t* index) {
  bool groups = has_groups(shape.channels) && is_aligned<kGroup>(index);
  for (const void* at : floats) groups = groups && is_aligned<kGroup>(static_cast<const T*>(at));
  return groups;
}

template <class T, int kCount>
void launch_backward(StreamRef stream, const NormPoolBackward& a) {
  const int64_t channels = a.shape.channels;
  const NormShape norm = norm_shape(a.shape);
  auto* partials = static_cast<float*>(a.workspace);
  float* coefficients = norm_scratch(norm, a.workspace);
  Grid grid = sums_grid<kCount>(pooled_positions(a.shape), channels);
  const int64_t most = most_partials(norm);
  if (grid.blocks.x > most) grid.blocks.x = most;
  launch(stream, grid, sums_kernel<T, kCount>, Pooling(a.shape), a, partials);
  NormGradientFinalize last;
  last.sums = {partials, partials + channels, nullptr, grid.blocks.x, 2 * channels};
  last.rows = norm.rows, last.channels = channels;
  last.gamma = a.gamma, last.var = a.var, last.eps = a.eps;
  last.dgamma = a.dgamma, last.dbeta = a.dbeta, last.coefficients = coefficients;
  norm_gradient_finalize(stream, last);
  launch(stream, window_grid<kCount>(norm.rows, channels), apply_kernel<T, kCount>,
         Pooling(a.shape), a, coefficients);
}

}  // namespace

NormShape norm_shape(const PoolShape& shape) {
  return {shape.type, positions(shape), shape.channels};
}

void norm_pool_train(StreamRef stream, const NormPoolTrain& args) {
  const NormShape norm = norm_shape(args.shape);
  float* scale = norm_scratch(norm, args.workspace);
  norm_statistics(stream, {norm, args.x, args.gamma, args.eps, args.momentum, args.running_mean,
                           args.running_var, args.mean, args.var, scale, args.workspace});
  with_float_type(norm.type, [&]<class T>(T) {
    with_group(all_aligned<T>(args.shape, {args.x, args.y}, args.index), [&]<int kCount>() {
      launch(stream, window_grid<kCount>(pooled_positions(args.shape), norm.channels),
             forward_kernel<T, kCount>, Pooling(args.shape), args, scale);
    });
  });
}

void norm_pool_backward(StreamRef stream, const NormPoolBackward& args) {
  with_float_type(args.shape.type, [&]<class T>(T) {
    with_group(all_aligned<T>(args.shape, {args.dy, args.y, args.x, args.dx}, args.index),
               [&]<int kCount>() { launch_backward<T, kCount>(stream, args); });
  });
}

}  // namespace kd::kernels
