#include "kernels/map.cuh"
#include "kernels/partials.cuh"
#include "kernels/training.h"

namespace kd::kernels {
namespace {

constexpr int kThreads = kSquareThreads, kCount = kVec<float>, kRowThreads = 128;

template <int kVectors, class T>
__device__ float sum_of_squares(const T* data, int64_t count) {
  float sums[kVectors] = {};
  const int64_t vectors = count / kVectors;
  for (int64_t v = first_item(); v < vectors; v += item_step()) {
    const auto values = load<kVectors>(data + v * kVectors);
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      const float g = to_float(values.at[k]);
      sums[k] += g * g;
    }
  }
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kVectors; ++k) sum += sums[k];
  const int64_t rest = vectors * kVectors + first_item();
  if (kVectors > 1 && rest < count) sum += to_float(data[rest]) * to_float(data[rest]);
  return sum;
}

// Block p makes partial p.
template <class Low>
__global__ void __launch_bounds__(kThreads)
    squares_of(const Low* __restrict__ low, const float* __restrict__ high, int64_t lows,
               int64_t highs, bool low_vectors, bool high_vectors, float* __restrict__ squares) {
  const int64_t most = lows > highs ? lows : highs;
  if (static_cast<int64_t>(blockIdx.x) * kThreads >= most) {  // none is this block's
    if (threadIdx.x == 0) squares[blockIdx.x] = 0;
    return;
  }
  float sum = low_vectors ? sum_of_squares<kVec<Low>>(low, lows) : sum_of_squares<1>(low, lows);
  sum += high_vectors ? sum_of_squares<kCount>(high, highs) : sum_of_squares<1>(high, highs);
  sum = block_reduce<kThreads>(sum, Sum());
  if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

struct Accumulate {  // a: the sum so far
  float keep, scale;
  template <int kWidth>
  __device__ void operator()(const float (&a)[kWidth], const float (&b)[kWidth],
                             float (&y)[kWidth]) const {
#pragma unroll
    for (int k = 0; k < kWidth; ++k) y[k] = keep * a[k] + scale * b[k];
  }
};
struct Scale {
  float scale;
  template <int kWidth>
  __device__ void operator()(const float (&)[kWidth], const float (&b)[kWidth],
                             float (&y)[kWidth]) const {
#pragma unroll
    for (int k = 0; k < kWidth; ++k) y[k] = scale * b[k];
  }
};
struct Average {  // a: the average so far
  float take;
  template <int kWidth>
  __device__ void operator()(const float (&a)[kWidth], const float (&b)[kWidth],
                             float (&y)[kWidth]) const {
#pragma unroll
    for (int k = 0; k < kWidth; ++k) y[k] = a[k] + take * (b[k] - a[k]);
  }
};

// y = function(a, b), by vectors where the arrays are aligned; a is y, or nothing.
template <class A, class B, class Function>
void map_onto(StreamRef stream, const A& a, const B* b, float* y, int64_t count,
              const Function& function) {
  if (is_aligned<kCount>(y) && is_aligned<kCount>(b)) {
    launch_map<kCount>(stream, a, Flat<B>{b}, y, count, function);
  } else {
    launch_map<1>(stream, a, Flat<B>{b}, y, count, function);
  }
}

// Block r limits row r.
template <int kWidth, class Copy>
__global__ void __launch_bounds__(kRowThreads)
    limit_rows(float* weights, Copy* copies, int64_t columns, float limit) {
  const int64_t start = static_cast<int64_t>(blockIdx.x) * columns, vectors = columns / kWidth;
  float sum = 0;
  for (int64_t v = threadIdx.x; v < vectors; v += kRowThreads) {
    const auto w = load<kWidth>(weights + start + v * kWidth);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sum += w.at[k] * w.at[k];
  }
  const float norm = sqrtf(block_reduce<kRowThreads>(sum, Sum()));
  const bool longer = norm > limit;
  if (!longer && copies == nullptr) return;
  const float factor = longer ? limit / norm : 1.0f;
  for (int64_t v = threadIdx.x; v < vectors; v += kRowThreads) {
    auto w = load<kWidth>(weights + start + v * kWidth);
    Vec<Copy, kWidth> low;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      w.at[k] *= factor;
      low.at[k] = from_float<Copy>(w.at[k]);
    }
    if (longer) store(weights + start + v * kWidth, w);
    if (copies != nullptr) store(copies + start + v * kWidth, low);
  }
}

__global__ void __launch_bounds__(kThreads) next_loss_scale(const LossScaleArgs args) {
  const bool good = is_finite(sum_of_partials(args.squares));
  if (threadIdx.x != 0) return;
  const float scale = *args.loss_scale;
  if (!good) {
    const float less = scale * args.backoff;
    *args.loss_scale = less > args.least ? less : args.least;
    args.counters[0] = 0;
    ++args.counters[1];
  } else if (++args.counters[0] >= args.interval) {
    const float more = scale * args.growth;
    *args.loss_scale = more < args.most ? more : args.most;
    args.counters[0] = 0;
  }
}

__global__ void next_step(AdvanceStepArgs args) {
  const int64_t step = args.key[1] + 1;
  __syncthreads();
  if (threadIdx.x == 0) args.key[1] = step;
  const int64_t at = step < 0 ? 0 : step < args.rows ? step : args.rows - 1;
  for (int64_t c = threadIdx.x; c < args.columns; c += blockDim.x) {
    args.row[c] = args.table[at * args.columns + c];
  }
}

}  // namespace

void gradient_squares(StreamRef stream, const GradientArgs& gradient, float* squares) {
  with_float_type(gradient.low_type, [&](auto of) {
    using Low = decltype(of);
    const auto* low = static_cast<const Low*>(gradient.low);
    launch(stream, {{kSquarePartials}, {kThreads}}, squares_of<Low>, low, gradient.high,
           gradient.lows, gradient.highs, is_aligned<kVec<Low>>(low),
           is_aligned<kCount>(gradient.high), squares);
  });
}

void gradient_accumulate(StreamRef stream, const AccumulateArgs& args) {
  with_float_type(args.gradient_type, [&](auto of) {
    const auto* gradient = static_cast<const decltype(of)*>(args.gradient);
    if (args.keep == 0) {
      map_onto(stream, Nothing{}, gradient, args.sum, args.count, Scale{args.scale});
    } else {
      map_onto(stream, Flat<float>{args.sum}, gradient, args.sum, args.count,
               Accumulate{args.keep, args.scale});
    }
  });
}

void ema_update(StreamRef stream, const EmaArgs& args) {
  map_onto(stream, Flat<float>{args.average}, args.weights, args.average, args.count,
           Average{args.take});
}

void max_norm(StreamRef stream, const MaxNormArgs& args) {
  if (args.rows * args.columns == 0) return;
  with_float_type(args.copy_type, [&](auto of) {
    using Copy = decltype(of);
    auto* copies = static_cast<Copy*>(args.copies);
    const bool vectors =
        is_aligned<kCount>(args.weights, args.columns) && is_aligned<kCount>(copies, args.columns);
    const auto kernel = vectors ? limit_rows<kCount, Copy> : limit_rows<1, Copy>;
    launch(stream, {{args.rows}, {kRowThreads}}, kernel, args.weights, copies, args.columns,
           args.limit);
  });
}

void loss_scale_update(StreamRef stream, const LossScaleArgs& args) {
  launch(stream, {{1}, {kThreads}}, next_loss_scale, args);
}

void advance_step(StreamRef stream, const AdvanceStepArgs& args) {
  launch(stream, {{1}, {kThreads}}, next_step, args);
}

}  // namespace kd::kernels
