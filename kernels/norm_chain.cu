#include <initializer_list>

#include "kernels/norm_chain.h"
#include "kernels/norm_sums.cuh"

namespace kd::kernels {
namespace {

enum class Residual { none, plain, scaled };

template <class T, int kCount>
struct Two {
  Vec<T, kCount> first, second;
};

template <class T, int kCount, Residual kResidual>
__global__ void __launch_bounds__(kTileThreads, sizeof(T) == 4 ? 2 : kBlocksAtOnce)
    scale_bias_relu_rows(ScaleBiasRelu a) {
  constexpr bool kAdds = kResidual != Residual::none, kScales = kResidual == Residual::scaled;
  const int64_t group = tile_group(), channel = group * kCount;
  if (channel >= a.channels) return;
  const T* x = static_cast<const T*>(a.x) + channel;
  const T* residual = kAdds ? static_cast<const T*>(a.residual) + channel : nullptr;
  T* y = static_cast<T*>(a.y) + channel;
  const auto scale = channel_floats<kCount>(a.scale, group);
  auto bias = channel_floats<kCount>(a.bias, group);
  const auto residual_scale = channel_floats<kCount>(kScales ? a.residual_scale : a.scale, group);
  if constexpr (kScales) {  // one bias for both: fewer registers
    const auto residual_bias = channel_floats<kCount>(a.residual_bias, group);
#pragma unroll
    for (int i = 0; i < kCount; ++i) bias.at[i] += residual_bias.at[i];
  }
  for_rows<kApplyRowsAtOnce>(
      walk_back<kApplyRowsAtOnce>(a.rows),
      [&](int64_t row) {
        Two<T, kCount> loaded;
        loaded.first = load<kCount>(x + row * a.channels);
        if constexpr (kAdds) loaded.second = load<kCount>(residual + row * a.channels);
        return loaded;
      },
      [&](int64_t row, const Two<T, kCount>& loaded) {
        Vec<T, kCount> result;
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
          float value = to_float(loaded.first.at[i]) * scale.at[i] + bias.at[i];
          if constexpr (kScales) {
            value += to_float(loaded.second.at[i]) * residual_scale.at[i];
          } else if constexpr (kAdds) {
            value += to_float(loaded.second.at[i]);
          }
          result.at[i] = from_float<T>(value < 0 ? 0.0f : value);
        }
        store(y + row * a.channels, result);
      });
}

// dx = dz scale + (x - mean) slope + offset
template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads, sizeof(T) == 4 ? 2 : kBlocksAtOnce)
    input_grad_rows(NormInputGrad a, float eps, float one_over_rows) {
  const int64_t group = tile_group(), channel = group * kCount;
  if (channel >= a.channels) return;
  const T* dz = static_cast<const T*>(a.dz) + channel;
  const T* x = static_cast<const T*>(a.x) + channel;
  T* dx = static_cast<T*>(a.dx) + channel;
  const auto mean = channel_floats<kCount>(a.mean, group);
  const auto var = channel_floats<kCount>(a.var, group);
  auto scale = channel_floats<kCount>(a.gamma, group);
  auto slope = channel_floats<kCount>(a.dgamma, group);
  auto offset = channel_floats<kCount>(a.dbeta, group);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const float inverse = rsqrtf(var.at[i] + eps);
    scale.at[i] *= inverse;
    slope.at[i] *= -scale.at[i] * inverse * one_over_rows;
    offset.at[i] *= -scale.at[i] * one_over_rows;
  }
  for_rows<kApplyRowsAtOnce>(
      walk_back<kApplyRowsAtOnce>(a.rows),
      [&](int64_t row) {
        return Two<T, kCount>{load<kCount>(dz + row * a.channels),
                              load<kCount>(x + row * a.channels)};
      },
      [&](int64_t row, const Two<T, kCount>& loaded) {
        Vec<T, kCount> result;
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
          const float centred = to_float(loaded.second.at[i]) - mean.at[i];
          result.at[i] = from_float<T>(to_float(loaded.first.at[i]) * scale.at[i] +
                                       centred * slope.at[i] + offset.at[i]);
        }
        store(dx + row * a.channels, result);
      });
}

template <class T, int kCount>
void launch_scale_bias_relu(StreamRef stream, const ScaleBiasRelu& a) {
  const auto kernel = a.residual == nullptr ? scale_bias_relu_rows<T, kCount, Residual::none>
                      : a.residual_scale == nullptr
                          ? scale_bias_relu_rows<T, kCount, Residual::plain>
                          : scale_bias_relu_rows<T, kCount, Residual::scaled>;
  launch(stream, apply_grid<kCount>(a.rows, a.channels), kernel, a);
}

template <class T, int kCount>
void launch_input_grad(StreamRef stream, const NormInputGrad& a) {
  launch(stream, apply_grid<kCount>(a.rows, a.channels), input_grad_rows<T, kCount>, a,
         static_cast<float>(a.eps), static_cast<float>(1 / static_cast<double>(a.rows)));
}

// Can rows of `channels` T at all of `operands` be read kGroup at a time?
template <class T>
bool in_groups(int64_t channels, std::initializer_list<const void*> operands) {
  bool all = has_groups(channels);
  for (const void* at : operands) all = all && is_aligned<kGroup>(static_cast<const T*>(at));
  return all;
}

}  // namespace

void scale_bias_relu(StreamRef stream, const ScaleBiasRelu& a) {
  with_float_type(a.type, [&]<class T>(T) {
    in_groups<T>(a.channels, {a.x, a.residual, a.y}) ? launch_scale_bias_relu<T, kGroup>(stream, a)
                                                     : launch_scale_bias_relu<T, 1>(stream, a);
  });
}

void norm_input_grad(StreamRef stream, const NormInputGrad& a) {
  with_float_type(a.type, [&]<class T>(T) {
    in_groups<T>(a.channels, {a.dz, a.x, a.dx}) ? launch_input_grad<T, kGroup>(stream, a)
                                                : launch_input_grad<T, 1>(stream, a);
  });
}

}  // namespace kd::kernels
