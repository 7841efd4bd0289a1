#include "kernels/mask.h"
#include "kernels/norm.h"
#include "kernels/norm_sums.cuh"

namespace kd::kernels {
namespace {

template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads)
    statistics_kernel(const T* __restrict__ x, int64_t rows, int64_t channels,
                      float* __restrict__ partials, float* __restrict__ shift) {
  const int64_t group = tile_group();
  float sums[2 * kCount] = {};
  if (group * kCount < channels) {
    const T* column = x + group * kCount;
    const Floats<kCount> first = to_floats(load<kCount>(column));
    for_rows<kRowsAtOnce>(
        walk_together(rows), [&](int64_t row) { return load<kCount>(column + row * channels); },
        [&](int64_t, const Vec<T, kCount>& v) {
#pragma unroll
          for (int i = 0; i < kCount; ++i) {
            const float d = to_float(v.at[i]) - first.at[i];
            sums[i] += d;
            sums[kCount + i] += d * d;
          }
        });
    if (blockIdx.x == 0 && threadIdx.y == 0) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) shift[group * kCount + i] = first.at[i];
    }
  }
  store_sums<kCount>(sums, group, channels, partials);
}

__global__ void finalize_kernel(NormFinalize a) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * kFinalChannels + threadIdx.x;
  const Totals totals = sum_partials(a.sums, c, a.channels);
  if (threadIdx.y != 0 || c >= a.channels) return;
  const auto rows = static_cast<double>(a.rows);
  const double off = totals.sum / rows;
  const double mean = off + (a.sums.shift != nullptr ? static_cast<double>(a.sums.shift[c]) : 0);
  double var = totals.square / rows - off * off;
  if (var < 0) var = 0;  // cancelled; NaN stays
  a.mean[c] = static_cast<float>(mean);
  a.var[c] = static_cast<float>(var);
  if (a.running_mean != nullptr) {
    const double unbiased = a.rows > 1 ? var * rows / (rows - 1) : var;
    a.running_mean[c] =
        static_cast<float>((1 - a.momentum) * a.running_mean[c] + a.momentum * mean);
    a.running_var[c] =
        static_cast<float>((1 - a.momentum) * a.running_var[c] + a.momentum * unbiased);
  }
  if (a.scale == nullptr) return;
  const double scale = a.gamma[c] / ::sqrt(var + a.eps);
  a.scale[c] = static_cast<float>(scale);
  if (a.bias != nullptr) a.bias[c] = static_cast<float>(a.beta[c] - mean * scale);
}

__global__ void scale_kernel(const float* __restrict__ gamma, const float* __restrict__ var,
                             double eps, float* __restrict__ scale, int64_t channels) {
  for (int64_t c = first_item(); c < channels; c += item_step()) {
    scale[c] = static_cast<float>(gamma[c] / ::sqrt(static_cast<double>(var[c]) + eps));
  }
}

struct Apply {
  const void *x, *residual;
  const float *mean, *scale, *beta;
  void* y;
  uint8_t* mask;
  bool relu;
  int64_t rows, channels;
};

template <class T, int kCount>
struct Loaded {
  Vec<T, kCount> x, residual;
};

template <class T, int kCount, bool kResidual>
__global__ void __launch_bounds__(kTileThreads, sizeof(T) == 4 ? 2 : kBlocksAtOnce)
    apply_kernel(Apply a) {
  const int64_t group = tile_group();
  if (group * kCount >= a.channels) return;
  const T* __restrict__ x = static_cast<const T*>(a.x) + group * kCount;
  const T* __restrict__ residual = static_cast<const T*>(a.residual);
  T* __restrict__ y = static_cast<T*>(a.y) + group * kCount;
  const auto mean = channel_floats<kCount>(a.mean, group);
  const auto scale = channel_floats<kCount>(a.scale, group);
  const auto beta = channel_floats<kCount>(a.beta, group);
  for_rows<kApplyRowsAtOnce>(
      walk_back<kApplyRowsAtOnce>(a.rows),
      [&](int64_t row) {
        Loaded<T, kCount> loaded;
        loaded.x = load<kCount>(x + row * a.channels);
        if constexpr (kResidual) {
          loaded.residual = load<kCount>(residual + group * kCount + row * a.channels);
        }
        return loaded;
      },
      [&](int64_t row, const Loaded<T, kCount>& loaded) {
        Vec<T, kCount> result;
        unsigned bits = 0;
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
          float value = (to_float(loaded.x.at[i]) - mean.at[i]) * scale.at[i] + beta.at[i];
          if constexpr (kResidual) value += to_float(loaded.residual.at[i]);
          if (a.relu && value < 0) value = 0;
          result.at[i] = from_float<T>(value);
          bits |= to_float(result.at[i]) > 0 ? 1u << i : 0u;
        }
        store(y + row * a.channels, result);
        if (kCount == kGroup && a.mask != nullptr) {
          a.mask[(row * a.channels + group * kCount) / kGroup] = static_cast<uint8_t>(bits);
        }
      });
}

template <class T, int kCount>
void launch_apply(StreamRef stream, const Apply& a) {
  const auto kernel =
      a.residual != nullptr ? apply_kernel<T, kCount, true> : apply_kernel<T, kCount, false>;
  launch(stream, apply_grid<kCount>(a.rows, a.channels), kernel, a);
}

// Without groups a byte of the mask may belong to two rows: the mask takes a pass of its own.
void apply(StreamRef stream, Type type, const Apply& a) {
  with_float_type(type, [&]<class T>(T) {
    const bool groups = has_groups(a.channels) && is_aligned<kGroup>(static_cast<const T*>(a.x)) &&
                        is_aligned<kGroup>(static_cast<const T*>(a.residual)) &&
                        is_aligned<kGroup>(static_cast<const T*>(a.y));
    if (groups) return launch_apply<T, kGroup>(stream, a);
    launch_apply<T, 1>(stream, a);
    if (a.mask != nullptr) sign_mask(stream, {type, a.rows * a.channels, a.y, a.mask});
  });
}

template <class T, int kCount>
NormSums launch_statistics(StreamRef stream, const NormStatistics& args) {
  const auto [type, rows, channels] = args.shape;
  const Grid grid = sums_grid<kCount>(rows, channels);
  auto* partials = static_cast<float*>(args.workspace);
  float* shift = norm_scratch(args.shape, args.workspace) - channels;
  launch(stream, grid, statistics_kernel<T, kCount>, static_cast<const T*>(args.x), rows, channels,
         partials, shift);
  return {partials, partials + channels, shift, grid.blocks.x, 2 * channels};
}

}  // namespace

size_t norm_workspace(const NormShape& shape) {
  return static_cast<size_t>((2 * most_partials(shape) + 4) * shape.channels) * sizeof(float);
}

float* norm_scratch(const NormShape& shape, void* workspace) {
  return static_cast<float*>(workspace) + (2 * most_partials(shape) + 1) * shape.channels;
}

void norm_finalize(StreamRef stream, const NormFinalize& args) {
  launch(stream, final_grid(args.channels), finalize_kernel, args);
}

void norm_statistics(StreamRef stream, const NormStatistics& args) {
  with_float_type(args.shape.type, [&]<class T>(T) {
    const int64_t channels = args.shape.channels;
    const bool groups = has_groups(channels) && is_aligned<kGroup>(static_cast<const T*>(args.x));
    NormFinalize last;
    last.sums =
        groups ? launch_statistics<T, kGroup>(stream, args) : launch_statistics<T, 1>(stream, args);
    last.rows = args.shape.rows, last.channels = channels;
    last.gamma = args.gamma;
    last.eps = args.eps, last.momentum = args.momentum;
    last.mean = args.mean, last.var = args.var, last.scale = args.scale;
    last.running_mean = args.running_mean, last.running_var = args.running_var;
    norm_finalize(stream, last);
  });
}

void norm_train(StreamRef stream, const NormTrain& args) {
  float* scale = norm_scratch(args.shape, args.workspace);
  norm_statistics(stream,
                  {args.shape, args.x, args.gamma, args.eps, args.momentum, args.running_mean,
                   args.running_var, args.mean, args.var, scale, args.workspace});
  apply(stream, args.shape.type,
        {args.x, args.residual, args.mean, scale, args.beta, args.y, args.mask, args.relu,
         args.shape.rows, args.shape.channels});
}

void norm_inference(StreamRef stream, const NormInference& args) {
  const int64_t channels = args.shape.channels;
  launch(stream, grid_for(channels), scale_kernel, args.gamma, args.var, args.eps, args.workspace,
         channels);
  apply(stream, args.shape.type,
        {args.x, nullptr, args.mean, args.workspace, args.beta, args.y, nullptr, false,
         args.shape.rows, channels});
}

}  // namespace kd::kernels
