#include "kernels/optimizer.h"
#include "kernels/reduce.cuh"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = 256, kCount = kVec<float>;
constexpr int64_t kBlocks = 1024;  // all resident on a large GPU, so that little is repeated

__device__ void apply(const SgdRule& rule, float lr, int64_t i, float gradient, float& weight,
                      float& velocity) {
  const float g = gradient + (i < rule.decay_elements ? rule.decay : 0.0f) * weight;
  velocity = rule.momentum * velocity + g;
  weight -= lr * (rule.nesterov ? g + rule.momentum * velocity : velocity);
}

// What the update of a step is told on the device.
struct Scalars {
  float lr, unscale;
};

// Elements 4v .. 4v+3 of a gradient of type G; Copy is f16, bf16, f32, or void: none is kept.
template <class G, class Copy>
__device__ void update_vector(const SgdRule& rule, const Scalars& s, int64_t at, float* weights,
                              float* velocity, const G* gradient, Copy* copies) {
  auto w = load<kCount>(weights + at);
  auto v = load<kCount>(velocity + at);
  const auto g = load<kCount>(gradient + at);
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    apply(rule, s.lr, at + k, to_float(g.at[k]) * s.unscale, w.at[k], v.at[k]);
  }
  store(weights + at, w);
  store(velocity + at, v);
  if (copies == nullptr) return;
  Vec<Copy, kCount> low;
#pragma unroll
  for (int k = 0; k < kCount; ++k) low.at[k] = from_float<Copy>(w.at[k]);
  store(copies + at, low);
}

// Elements begin .. end one at a time; gradient and copies are of element `begin` on.
template <class G, class Copy>
__device__ void update_each(const SgdRule& rule, const Scalars& s, int64_t begin, int64_t end,
                            float* weights, float* velocity, const G* gradient, Copy* copies) {
  for (int64_t i = begin + first_item(); i < end; i += item_step()) {
    float w = weights[i], v = velocity[i];
    apply(rule, s.lr, i, to_float(gradient[i - begin]) * s.unscale, w, v);
    weights[i] = w;
    velocity[i] = v;
    if (copies != nullptr) copies[i - begin] = from_float<Copy>(w);
  }
}

__global__ void __launch_bounds__(kThreads)
    sgd(float* __restrict__ weights, float* __restrict__ velocity,
        const float* __restrict__ gradient, const float* __restrict__ lr, int64_t count,
        int64_t vectors, const SgdRule rule) {
  const Scalars scalars{*lr, 1};
  float* const none = nullptr;
  for (int64_t v = first_item(); v < vectors; v += item_step()) {
    update_vector(rule, scalars, v * kCount, weights, velocity, gradient, none);
  }
  const int64_t begin = vectors * kCount;
  update_each(rule, scalars, begin, count, weights, velocity, gradient + begin, none);
}

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

// The same order in every block of every kernel that asks, so that all decide alike.
__device__ bool is_finite(const float* squares) {
  static_assert(kSquarePartials == kThreads * 4);
  float sum = 0;
#pragma unroll
  for (int k = 0; k < 4; ++k) sum += squares[threadIdx.x * 4 + k];
  sum = block_reduce<kThreads>(sum, Sum());
  return sum - sum == 0;
}

struct MixedPointers {
  float *weights, *velocity;
  const float *high, *squares, *lr, *loss_scale;
  int64_t lows, highs, vectors;  // vectors: of the first part
};

template <class Low>
__global__ void __launch_bounds__(kThreads)
    sgd_mixed(const MixedPointers p, const Low* __restrict__ low, Low* __restrict__ copies,
              const SgdRule rule) {
  if (!is_finite(p.squares)) return;
  const Scalars scalars{*p.lr, 1 / *p.loss_scale};
  for (int64_t v = first_item(); v < p.vectors; v += item_step()) {
    update_vector(rule, scalars, v * kCount, p.weights, p.velocity, low, copies);
  }
  const int64_t begin = p.vectors * kCount;
  update_each(rule, scalars, begin, p.lows, p.weights, p.velocity, low + begin, copies + begin);
  float* const none = nullptr;
  update_each(rule, scalars, p.lows, p.lows + p.highs, p.weights, p.velocity, p.high, none);
}

__global__ void __launch_bounds__(kThreads) next_loss_scale(const LossScaleArgs args) {
  const bool good = is_finite(args.squares);
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

void sgd_update(StreamRef stream, const SgdArgs& args) {
  if (args.count == 0) return;
  const bool aligned = is_aligned<kCount>(args.weights) && is_aligned<kCount>(args.velocity) &&
                       is_aligned<kCount>(args.gradient);
  const int64_t vectors = aligned ? args.count / kCount : 0;
  launch(stream, grid_for(aligned ? divided_up(args.count, kCount) : args.count, kThreads, kBlocks),
         sgd, args.weights, args.velocity, args.gradient, args.lr, args.count, vectors, args.rule);
}

void gradient_squares(StreamRef stream, const GradientArgs& gradient, float* squares) {
  with_float_type(gradient.low_type, [&](auto of) {
    using Low = decltype(of);
    const auto* low = static_cast<const Low*>(gradient.low);
    launch(stream, {{kSquarePartials}, {kThreads}}, squares_of<Low>, low, gradient.high,
           gradient.lows, gradient.highs, is_aligned<kVec<Low>>(low),
           is_aligned<kCount>(gradient.high), squares);
  });
}

void sgd_update_mixed(StreamRef stream, const MixedSgdArgs& args) {
  const GradientArgs& g = args.gradient;
  if (g.lows + g.highs == 0) return;
  with_float_type(g.low_type, [&](auto of) {
    using Low = decltype(of);
    const auto* low = static_cast<const Low*>(g.low);
    auto* copies = static_cast<Low*>(args.low_weights);
    const bool aligned = is_aligned<kCount>(args.weights) && is_aligned<kCount>(args.velocity) &&
                         is_aligned<kCount>(low) && is_aligned<kCount>(copies);
    const MixedPointers pointers{.weights = args.weights,
                                 .velocity = args.velocity,
                                 .high = g.high,
                                 .squares = args.squares,
                                 .lr = args.lr,
                                 .loss_scale = args.loss_scale,
                                 .lows = g.lows,
                                 .highs = g.highs,
                                 .vectors = aligned ? g.lows / kCount : 0};
    launch(stream, grid_for(divided_up(g.lows + g.highs, kCount), kThreads, kBlocks),
           sgd_mixed<Low>, pointers, low, copies, args.rule);
  });
}

void loss_scale_update(StreamRef stream, const LossScaleArgs& args) {
  launch(stream, {{1}, {kThreads}}, next_loss_scale, args);
}

void advance_step(StreamRef stream, const AdvanceStepArgs& args) {
  launch(stream, {{1}, {kThreads}}, next_step, args);
}

}  // namespace kd::kernels
