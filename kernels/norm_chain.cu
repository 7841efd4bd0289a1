#include <initializer_list>

#include "kernels/norm_chain.h"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kInFlight = 4;                // rows a thread loads before it stores
constexpr int kPasses = 2;                  // ... and how often
constexpr int kRows = kInFlight * kPasses;  // of a thread

// kCount channels' constants from `channel` on: vectors of parameters may lie anywhere.
template <int kCount>
struct Channels {
  float at[kCount];
  __device__ Channels(const float* from, int64_t channel) {
    from += channel;
    if constexpr (kCount % 4 == 0) {
      if (reinterpret_cast<uintptr_t>(from) % 16 == 0) {
#pragma unroll
        for (int i = 0; i < kCount; i += 4) {
          const Vec<float, 4> four = load<4>(from + i);
#pragma unroll
          for (int j = 0; j < 4; ++j) at[i + j] = four.at[j];
        }
        return;
      }
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) at[i] = from[i];
  }
};

// Where a thread works: kCount channels of rows first, first + step, ..., kRows of them.
struct Place {
  int64_t channel, first;
  int step;
  bool inside;
};
template <int kCount>
__device__ Place place_of(int64_t channels, int columns) {
  const int thread = static_cast<int>(threadIdx.x), step = kThreads / columns;
  const int row = thread / columns, column = thread % columns;
  const int64_t channel = (static_cast<int64_t>(blockIdx.y) * columns + column) * kCount;
  return {channel, static_cast<int64_t>(blockIdx.x) * step * kRows + row, step,
          row < step && channel < channels};
}

enum class Residual { none, plain, scaled };

template <class T, int kCount, Residual kResidual>
__global__ void __launch_bounds__(kThreads)
    scale_bias_relu_rows(const ScaleBiasRelu a, int columns) {
  constexpr bool kAdds = kResidual != Residual::none, kScales = kResidual == Residual::scaled;
  const Place place = place_of<kCount>(a.channels, columns);
  if (!place.inside) return;
  const T *x = static_cast<const T*>(a.x), *residual = static_cast<const T*>(a.residual);
  T* y = static_cast<T*>(a.y);
  const Channels<kCount> scale(a.scale, place.channel), bias(a.bias, place.channel);
  const Channels<kCount> residual_scale(kScales ? a.residual_scale : a.scale, place.channel);
  const Channels<kCount> residual_bias(kScales ? a.residual_bias : a.bias, place.channel);
  for (int pass = 0; pass < kPasses; ++pass) {
    const int64_t first = place.first + static_cast<int64_t>(pass) * kInFlight * place.step;
    Vec<T, kCount> values[kInFlight] = {}, added[kInFlight] = {};
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      const int64_t row = first + i * place.step, at = row * a.channels + place.channel;
      if (row >= a.rows) break;
      values[i] = load<kCount>(x + at);
      if constexpr (kAdds) added[i] = load<kCount>(residual + at);
    }
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      const int64_t row = first + i * place.step, at = row * a.channels + place.channel;
      if (row >= a.rows) return;
      Vec<T, kCount> result;
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        float value = to_float(values[i].at[k]) * scale.at[k] + bias.at[k];
        if constexpr (kScales) {
          value += to_float(added[i].at[k]) * residual_scale.at[k] + residual_bias.at[k];
        } else if constexpr (kAdds) {
          value += to_float(added[i].at[k]);
        }
        result.at[k] = from_float<T>(value < 0 ? 0.0f : value);
      }
      store(y + at, result);
    }
  }
}

template <class T, int kCount>
__global__ void __launch_bounds__(kThreads)
    input_grad_rows(const NormInputGrad a, int columns, float one_over_rows) {
  const Place place = place_of<kCount>(a.channels, columns);
  if (!place.inside) return;
  const T *dz = static_cast<const T*>(a.dz), *x = static_cast<const T*>(a.x);
  T* dx = static_cast<T*>(a.dx);
  // dx = dz scale + (x - mean) slope + offset
  Channels<kCount> scale(a.gamma, place.channel), slope(a.dgamma, place.channel);
  Channels<kCount> offset(a.dbeta, place.channel);
  const Channels<kCount> mean(a.mean, place.channel), var(a.var, place.channel);
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    const float inverse = rsqrtf(var.at[k] + static_cast<float>(a.eps));
    scale.at[k] *= inverse;
    slope.at[k] *= -scale.at[k] * inverse * one_over_rows;
    offset.at[k] *= -scale.at[k] * one_over_rows;
  }
  for (int pass = 0; pass < kPasses; ++pass) {
    const int64_t first = place.first + static_cast<int64_t>(pass) * kInFlight * place.step;
    Vec<T, kCount> gradients[kInFlight] = {}, values[kInFlight] = {};
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      const int64_t row = first + i * place.step, at = row * a.channels + place.channel;
      if (row >= a.rows) break;
      gradients[i] = load<kCount>(dz + at);
      values[i] = load<kCount>(x + at);
    }
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      const int64_t row = first + i * place.step, at = row * a.channels + place.channel;
      if (row >= a.rows) return;
      Vec<T, kCount> result;
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        const float centred = to_float(values[i].at[k]) - mean.at[k];
        result.at[k] = from_float<T>(to_float(gradients[i].at[k]) * scale.at[k] +
                                     centred * slope.at[k] + offset.at[k]);
      }
      store(dx + at, result);
    }
  }
}

// Calls body(columns, grid) for rows of `vectors` vectors.
template <class Body>
void with_grid(int64_t rows, int64_t vectors, const Body& body) {
  if (rows == 0 || vectors == 0) return;
  const int64_t columns = vectors < kThreads ? vectors : kThreads;
  const int64_t rows_of_block = kThreads / columns * kRows;
  body(static_cast<int>(columns),
       Grid{{divided_up(rows, rows_of_block), divided_up(vectors, columns)}, {kThreads}});
}

template <class T, int kCount>
void launch_scale_bias_relu(StreamRef stream, const ScaleBiasRelu& a) {
  with_grid(a.rows, a.channels / kCount, [&](int columns, const Grid& grid) {
    if (a.residual == nullptr) {
      launch(stream, grid, scale_bias_relu_rows<T, kCount, Residual::none>, a, columns);
    } else if (a.residual_scale == nullptr) {
      launch(stream, grid, scale_bias_relu_rows<T, kCount, Residual::plain>, a, columns);
    } else {
      launch(stream, grid, scale_bias_relu_rows<T, kCount, Residual::scaled>, a, columns);
    }
  });
}

template <class T, int kCount>
void launch_input_grad(StreamRef stream, const NormInputGrad& a) {
  const auto one_over_rows = static_cast<float>(1 / static_cast<double>(a.rows));
  with_grid(a.rows, a.channels / kCount, [&](int columns, const Grid& grid) {
    launch(stream, grid, input_grad_rows<T, kCount>, a, columns, one_over_rows);
  });
}

// Can rows of T at all of `operands` be read 16 bytes at a time?
template <class T>
bool all_aligned(int64_t channels, std::initializer_list<const void*> operands) {
  for (const void* at : operands) {
    if (!is_aligned<kVec<T>>(static_cast<const T*>(at), channels)) return false;
  }
  return true;
}

}  // namespace

void scale_bias_relu(StreamRef stream, const ScaleBiasRelu& a) {
  with_float_type(a.type, [&]<class T>(T) {
    all_aligned<T>(a.channels, {a.x, a.residual, a.y})
        ? launch_scale_bias_relu<T, kVec<T>>(stream, a)
        : launch_scale_bias_relu<T, 1>(stream, a);
  });
}

void norm_input_grad(StreamRef stream, const NormInputGrad& a) {
  with_float_type(a.type, [&]<class T>(T) {
    all_aligned<T>(a.channels, {a.dz, a.x, a.dx}) ? launch_input_grad<T, kVec<T>>(stream, a)
                                                  : launch_input_grad<T, 1>(stream, a);
  });
}

}  // namespace kd::kernels
