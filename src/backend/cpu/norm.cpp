// Batch norm over NHWC rows: x is (M, C), M = N H W. Sums run over fixed chunks of rows and are
// combined in order, so the number of threads never changes a bit.
#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu.h"

namespace kd::cpu {
namespace {

constexpr int64_t kChunk = 512;  // rows a partial sum covers
constexpr int64_t kBlock = 16;   // rows summed in float before double takes over

struct Rows {
  int64_t count, channels;
  explicit Rows(const Shape& s) : count(s[0] * s[1] * s[2]), channels(s[3]) {}
  int64_t chunks() const { return (count + kChunk - 1) / kChunk; }
  // Two double sums a chunk and channel, and two float block sums a chunk and channel.
  size_t workspace() const {
    return static_cast<size_t>(chunks() * channels) * 2 * (sizeof(double) + sizeof(float)) +
           static_cast<size_t>(channels) * 4 * sizeof(float);
  }
};

// Sums two quantities of each row over all rows: `accumulate(row, first, second)` adds one row's.
// Returns with sums[0..C) and sums[C..2C) holding the totals.
template <class Accumulate>
double* sum_rows(const Rows& rows, void* workspace, const Accumulate& accumulate) {
  const int64_t c = rows.channels, chunks = rows.chunks();
  auto* sums = static_cast<double*>(workspace);
  auto* blocks = reinterpret_cast<float*>(sums + chunks * c * 2);
#pragma omp parallel for schedule(static)
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    double* total = sums + chunk * c * 2;
    float* block = blocks + chunk * c * 2;
    std::fill_n(total, c * 2, 0.0);
    const int64_t end = std::min(rows.count, (chunk + 1) * kChunk);
    for (int64_t first = chunk * kChunk; first < end; first += kBlock) {
      std::fill_n(block, c * 2, 0.0f);
      for (int64_t row = first; row < std::min(end, first + kBlock); ++row) {
        accumulate(row, block, block + c);
      }
      for (int64_t i = 0; i < c * 2; ++i) total[i] += static_cast<double>(block[i]);
    }
  }
  for (int64_t chunk = 1; chunk < chunks; ++chunk) {
    for (int64_t i = 0; i < c * 2; ++i) sums[i] += sums[chunk * c * 2 + i];
  }
  return sums;
}

// Mean and biased variance, of values shifted by the first row: no cancellation where |mean| >>
// std.
void statistics(const Rows& rows, const float* x, void* workspace, float* mean, float* var) {
  const int64_t c = rows.channels;
  const double* sums = sum_rows(rows, workspace, [=](int64_t row, float* first, float* second) {
    const float* at = x + row * c;
#pragma omp simd
    for (int64_t k = 0; k < c; ++k) {
      const float d = at[k] - x[k];
      first[k] += d;
      second[k] += d * d;
    }
  });
  const auto count = static_cast<double>(rows.count);
  for (int64_t k = 0; k < c; ++k) {
    const double shifted = sums[k] / count;
    mean[k] = static_cast<float>(shifted + static_cast<double>(x[k]));
    var[k] = static_cast<float>(std::max(0.0, sums[c + k] / count - shifted * shifted));
  }
}

struct Apply {
  const float *x, *mean, *scale, *shift, *residual;
  float* y;
};

// y = (x - mean) scale + shift (+ residual), then max(., 0) if kRelu. Subtracting first keeps the
// digits where |mean| >> std.
template <bool kResidual, bool kRelu>
void apply(const Rows& rows, const Apply& a) {
  const int64_t c = rows.channels;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows.count; ++row) {
    const int64_t at = row * c;
#pragma omp simd
    for (int64_t k = 0; k < c; ++k) {
      float value = (a.x[at + k] - a.mean[k]) * a.scale[k] + a.shift[k];
      if constexpr (kResidual) value += a.residual[at + k];
      if constexpr (kRelu) value = value < 0 ? 0.0f : value;  // NaN stays NaN
      a.y[at + k] = value;
    }
  }
}

float* tail(const Rows& rows, void* workspace) {  // room for per-channel constants
  return reinterpret_cast<float*>(static_cast<std::byte*>(workspace) + rows.workspace()) -
         rows.channels * 4;
}

void channel_scales(const Rows& rows, double eps, const float* gamma, const float* var,
                    float* scale) {
  for (int64_t k = 0; k < rows.channels; ++k) {
    scale[k] = static_cast<float>(gamma[k] / std::sqrt(static_cast<double>(var[k]) + eps));
  }
}

template <bool kRelu>
StepPtr prepare_train(const PrepareRequest& request) {
  const auto attrs = request.node.attr<BatchNormAttrs>();
  const Rows rows(in_shape(request, 0));
  const bool residual = request.node.inputs.size() == 6;
  return make_step(
      [=](const Pointers& p) {
        const auto* x = in<float>(p, 0);
        float *mean = out<float>(p, 1), *var = out<float>(p, 2);
        statistics(rows, x, p.workspace, mean, var);
        float *running_mean = in<float>(p, 3), *running_var = in<float>(p, 4);
        const double n = static_cast<double>(rows.count), unbiased = n > 1 ? n / (n - 1) : 1;
        for (int64_t k = 0; k < rows.channels; ++k) {
          running_mean[k] =
              static_cast<float>((1 - attrs.momentum) * running_mean[k] + attrs.momentum * mean[k]);
          running_var[k] = static_cast<float>((1 - attrs.momentum) * running_var[k] +
                                              attrs.momentum * unbiased * var[k]);
        }
        float* scale = tail(rows, p.workspace);
        channel_scales(rows, attrs.eps, in<float>(p, 1), var, scale);
        const Apply a{x,
                      mean,
                      scale,
                      in<float>(p, 2),
                      residual ? in<float>(p, 5) : nullptr,
                      out<float>(p, 0)};
        residual ? apply<true, kRelu>(rows, a) : apply<false, kRelu>(rows, a);
      },
      rows.workspace());
}

struct Backward {
  const float *dy, *y, *x, *gamma, *mean, *var;
  float *dx, *dgamma, *dbeta, *dresidual;
};

// dx = gamma inv (dy' - mean(dy') - xhat mean(dy' xhat)), dy' = dy where y > 0 (kRelu).
template <bool kRelu, bool kResidual>
void backward(const Rows& rows, double eps, const Backward& b, void* workspace) {
  const int64_t c = rows.channels;
  const double* sums = sum_rows(rows, workspace, [&](int64_t row, float* first, float* second) {
    const int64_t at = row * c;
#pragma omp simd
    for (int64_t k = 0; k < c; ++k) {
      float d = b.dy[at + k];
      if constexpr (kRelu) d = b.y[at + k] > 0 ? d : 0.0f;
      first[k] += d;
      second[k] += d * (b.x[at + k] - b.mean[k]);
    }
  });
  float* scale = tail(rows, workspace);
  float *offset = scale + c, *slope = scale + 2 * c;
  const auto count = static_cast<double>(rows.count);
  for (int64_t k = 0; k < c; ++k) {
    const double inverse = 1 / std::sqrt(static_cast<double>(b.var[k]) + eps);
    b.dbeta[k] = static_cast<float>(sums[k]);
    b.dgamma[k] = static_cast<float>(sums[c + k] * inverse);
    const double s = b.gamma[k] * inverse, across = sums[c + k] * inverse * inverse / count;
    scale[k] = static_cast<float>(s);
    slope[k] = static_cast<float>(-s * across);
    offset[k] = static_cast<float>(-s * sums[k] / count);
  }
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows.count; ++row) {
    const int64_t at = row * c;
#pragma omp simd
    for (int64_t k = 0; k < c; ++k) {
      float d = b.dy[at + k];
      if constexpr (kRelu) d = b.y[at + k] > 0 ? d : 0.0f;
      b.dx[at + k] = d * scale[k] + (b.x[at + k] - b.mean[k]) * slope[k] + offset[k];
      if constexpr (kResidual) b.dresidual[at + k] = d;
    }
  }
}

}  // namespace

StepPtr prepare_batch_norm(const PrepareRequest& request) {
  const double eps = request.node.attr<BatchNormAttrs>().eps;
  const Rows rows(in_shape(request, 0));
  return make_step(
      [=](const Pointers& p) {
        auto* scale = static_cast<float*>(p.workspace);
        channel_scales(rows, eps, in<float>(p, 1), in<float>(p, 4), scale);
        apply<false, false>(rows, {in<float>(p, 0), in<float>(p, 3), scale, in<float>(p, 2),
                                   nullptr, out<float>(p, 0)});
      },
      static_cast<size_t>(rows.channels) * 2 * sizeof(float));
}

StepPtr prepare_batch_norm_train(const PrepareRequest& request) {
  return prepare_train<false>(request);
}
StepPtr prepare_batch_norm_relu_train(const PrepareRequest& request) {
  return prepare_train<true>(request);
}

StepPtr prepare_batch_norm_backward(const PrepareRequest& request) {
  const double eps = request.node.attr<BatchNormAttrs>().eps;
  const Rows rows(in_shape(request, 0));
  return make_step(
      [=](const Pointers& p) {
        backward<false, false>(
            rows, eps,
            {in<float>(p, 0), nullptr, in<float>(p, 1), in<float>(p, 2), in<float>(p, 3),
             in<float>(p, 4), out<float>(p, 0), out<float>(p, 1), out<float>(p, 2), nullptr},
            p.workspace);
      },
      rows.workspace());
}

StepPtr prepare_batch_norm_relu_backward(const PrepareRequest& request) {
  const auto attrs = request.node.attr<BatchNormReluGradAttrs>();
  const Rows rows(in_shape(request, 0));
  return make_step(
      [=](const Pointers& p) {
        const Backward b{in<float>(p, 0),  in<float>(p, 1),
                         in<float>(p, 2),  in<float>(p, 3),
                         in<float>(p, 4),  in<float>(p, 5),
                         out<float>(p, 0), out<float>(p, 1),
                         out<float>(p, 2), attrs.residual ? out<float>(p, 3) : nullptr};
        attrs.residual ? backward<true, true>(rows, attrs.eps, b, p.workspace)
                       : backward<true, false>(rows, attrs.eps, b, p.workspace);
      },
      rows.workspace());
}

}  // namespace kd::cpu
