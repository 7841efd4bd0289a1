#include "kernels/optimizer.h"
#include "kernels/partials.cuh"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = kSquareThreads, kCount = kVec<float>;
constexpr int kResident = 4;       // blocks on a multiprocessor, each with 64 KiB in flight
constexpr int64_t kBlocks = 1024;  // two waves at most on a large GPU, so that little is repeated

struct Moments {
  float *weights, *first, *second;
  const float *start, *lr_scale;
};

// Elements origin .. end of the arena, whose gradients are of one type. Copy is f16, bf16 or f32.
template <class G, class Copy>
struct Part {
  const G* gradient;  // of element `origin` on
  Copy* copies;       // likewise; nullptr: none are kept
  int64_t origin, end;
  bool vectors;  // all of it may be read so
};

// Where in the part the elements begin .. end lie, and how many vectors they begin with.
struct Span {
  int64_t begin, end, vectors;

  template <class G, class Copy>
  __device__ Span(const Part<G, Copy>& part, int64_t first, int64_t last)
      : begin(first > part.origin ? first : part.origin),
        end(last < part.end ? last : part.end),
        vectors(part.vectors && (begin - part.origin) % kCount == 0 && end > begin
                    ? (end - begin) / kCount
                    : 0) {}
  __device__ int64_t rest() const { return begin + vectors * kCount; }
};

// The state of kWidth neighbouring elements.
template <Optimizer kKind, int kWidth>
struct Elements {
  Vec<float, kWidth> w, first = {}, second = {}, start = {}, lr_scale = {};

  __device__ Elements(const Moments& m, int64_t i) {
    w = load<kWidth>(m.weights + i);
    if constexpr (has_first(kKind)) first = load<kWidth>(m.first + i);
    if constexpr (has_second(kKind)) second = load<kWidth>(m.second + i);
    if (m.start != nullptr) start = load<kWidth>(m.start + i);
    if (m.lr_scale != nullptr) lr_scale = load<kWidth>(m.lr_scale + i);
  }
  // The direction of element k, which is i of the arena; its moments are taken on.
  __device__ float direction(const OptimizerRule& rule, const StepScalars& step, int k, int64_t i,
                             float gradient) {
    OptimizerElement e{w.at[k]};
    if constexpr (has_first(kKind)) e.first = first.at[k];
    if constexpr (has_second(kKind)) e.second = second.at[k];
    const bool decayed = i < rule.decay_elements;
    const float g =
        regularised<kKind>(rule, decayed, gradient * step.gradient, e.weight, start.at[k]);
    const float d = kernels::direction<kKind>(rule, step, decayed, g, e);
    if constexpr (has_first(kKind)) first.at[k] = e.first;
    if constexpr (has_second(kKind)) second.at[k] = e.second;
    return d;
  }
  __device__ void keep(const Moments& m, int64_t i) const {
    store(m.weights + i, w);
    if constexpr (has_first(kKind)) store(m.first + i, first);
    if constexpr (has_second(kKind)) store(m.second + i, second);
  }
};

template <Optimizer kKind, int kWidth, class G, class Copy>
__device__ void update_elements(const OptimizerRule& rule, const StepScalars& step,
                                const Moments& m, const Part<G, Copy>& part, int64_t i) {
  Elements<kKind, kWidth> e(m, i);
  const auto g = load<kWidth>(part.gradient + (i - part.origin));
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    const float d = e.direction(rule, step, k, i + k, to_float(g.at[k]));
    e.w.at[k] -= (m.lr_scale == nullptr ? step.lr : step.lr * e.lr_scale.at[k]) * d;
  }
  e.keep(m, i);
  if (part.copies == nullptr) return;
  Vec<Copy, kWidth> low;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) low.at[k] = from_float<Copy>(e.w.at[k]);
  store(part.copies + (i - part.origin), low);
}

template <Optimizer kKind, class G, class Copy>
__device__ void update_part(const OptimizerRule& rule, const StepScalars& step, const Moments& m,
                            const Part<G, Copy>& part, int64_t begin, int64_t end) {
  const Span span(part, begin, end);
  for (int64_t v = first_item(); v < span.vectors; v += item_step()) {
    update_elements<kKind, kCount>(rule, step, m, part, span.begin + v * kCount);
  }
  for (int64_t i = span.rest() + first_item(); i < span.end; i += item_step()) {
    update_elements<kKind, 1>(rule, step, m, part, i);
  }
}

__device__ StepScalars scalars_of(const StepInputs& in, const OptimizerRule& rule, float squares) {
  StepScalars step;
  step.lr = *in.lr;
  step.gradient =
      gradient_factor(rule, in.loss_scale == nullptr ? 1.0f : 1 / *in.loss_scale, squares);
  if (in.key != nullptr) {
    correct_bias(rule, in.key[1] + 1 - (in.counters == nullptr ? 0 : in.counters[1]), step);
  }
  return step;
}
__device__ float squares_of(const StepInputs& in) {
  return in.squares == nullptr ? 0.0f : sum_of_partials(in.squares);
}

// Of a tensor, by every warp for itself.
__device__ float trust_of(const float* norms, int64_t segment) {
  static_assert(kLambParts == kWarp);
  const float* at = norms + segment * 2 * kLambParts + threadIdx.x % kWarp;
  return trust_ratio(warp_reduce(at[0], Sum()), warp_reduce(at[kLambParts], Sum()));
}

struct Segments {  // of LAMB: tensor blockIdx.y is segments at offsets[blockIdx.y] on
  const int32_t* offsets;
  const float* norms;
};

template <Optimizer kKind, class G, class Copy>
__global__ void __launch_bounds__(kThreads, kResident)
    update_arena(const OptimizerRule rule, const Moments m, const Part<G, Copy> low,
                 const Part<float, float> high, const StepInputs in, const Segments segments) {
  const float squares = squares_of(in);
  if (!is_finite(squares)) return;
  StepScalars step = scalars_of(in, rule, squares);
  int64_t begin = 0, end = high.end;
  if constexpr (kKind == Optimizer::lamb) {
    begin = segments.offsets[blockIdx.y];
    end = segments.offsets[blockIdx.y + 1];
    step.lr *= trust_of(segments.norms, blockIdx.y);
  }
  update_part<kKind>(rule, step, m, low, begin, end);
  update_part<kKind>(rule, step, m, high, begin, end);
}

struct Norms {
  float weights = 0, directions = 0;  // sums of squares
};

template <int kWidth, class G>
__device__ void add_elements(const OptimizerRule& rule, const StepScalars& step, const Moments& m,
                             const Part<G, float>& part, int64_t i, Norms& sums) {
  Elements<Optimizer::lamb, kWidth> e(m, i);
  const auto g = load<kWidth>(part.gradient + (i - part.origin));
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    const float d = e.direction(rule, step, k, i + k, to_float(g.at[k]));
    sums.weights += e.w.at[k] * e.w.at[k];
    sums.directions += d * d;
  }
}

template <class G>
__device__ void add_part(const OptimizerRule& rule, const StepScalars& step, const Moments& m,
                         const Part<G, float>& part, int64_t begin, int64_t end, Norms& sums) {
  const Span span(part, begin, end);
  for (int64_t v = first_item(); v < span.vectors; v += item_step()) {
    add_elements<kCount>(rule, step, m, part, span.begin + v * kCount, sums);
  }
  for (int64_t i = span.rest() + first_item(); i < span.end; i += item_step()) {
    add_elements<1>(rule, step, m, part, i, sums);
  }
}

// Block (p, s) makes part p of tensor s.
template <class G>
__global__ void __launch_bounds__(kThreads, kResident)
    norms_of(const OptimizerRule rule, const Moments m, const Part<G, float> low,
             const Part<float, float> high, const StepInputs in, const int32_t* offsets,
             float* __restrict__ norms) {
  const StepScalars step = scalars_of(in, rule, squares_of(in));
  const int64_t begin = offsets[blockIdx.y], end = offsets[blockIdx.y + 1];
  Norms sums;
  add_part(rule, step, m, low, begin, end, sums);
  add_part(rule, step, m, high, begin, end, sums);
  const float weights = block_reduce<kThreads>(sums.weights, Sum());
  const float directions = block_reduce<kThreads>(sums.directions, Sum());
  if (threadIdx.x != 0) return;
  float* to = norms + static_cast<int64_t>(blockIdx.y) * 2 * kLambParts + blockIdx.x;
  to[0] = weights;
  to[kLambParts] = directions;
}

Moments moments_of(const OptimizerArgs& a) {
  return {a.weights, a.first, a.second, a.start, a.lr_scale};
}

// Elements origin .. end.
template <class G, class Copy>
Part<G, Copy> part_of(const OptimizerArgs& a, const G* gradient, Copy* copies, int64_t origin,
                      int64_t end) {
  const auto aligned = [&](const float* array) {
    return array == nullptr || is_aligned<kCount>(array + origin);
  };
  const bool vectors = aligned(a.weights) && aligned(a.first) && aligned(a.second) &&
                       aligned(a.start) && aligned(a.lr_scale) && is_aligned<kCount>(gradient) &&
                       is_aligned<kCount>(copies);
  return {gradient, copies, origin, end, vectors};
}

Grid grid_of(const OptimizerArgs& a, int64_t count) {
  if (a.rule.kind == Optimizer::lamb) return {{kLambParts, a.segment_count}, {kThreads}};
  return grid_for(divided_up(count, kCount), kThreads, kBlocks);
}

// `low`: the gradients of the first `split` elements, which may have copies; `high`: of the others.
template <class G, class Copy>
void update_typed(StreamRef stream, const OptimizerArgs& a, const G* low, const float* high,
                  int64_t split) {
  const int64_t count = a.gradient.lows + a.gradient.highs;
  float* const none = nullptr;
  with_optimizer(a.rule.kind, [&](auto kind) {
    launch(stream, grid_of(a, count), update_arena<decltype(kind)::kind, G, Copy>, a.rule,
           moments_of(a), part_of(a, low, static_cast<Copy*>(a.copies), 0, split),
           part_of(a, high, none, split, count), a.step, Segments{a.segments, a.norms});
  });
}

}  // namespace

void optimizer_update(StreamRef stream, const OptimizerArgs& args) {
  const GradientArgs& g = args.gradient;
  if (g.lows + g.highs == 0) return;
  if (g.lows == 0) {  // copies or not, all gradients are f32
    return with_float_type(args.copy_type, [&](auto of) {
      update_typed<float, decltype(of)>(stream, args, g.high, g.high + args.copied, args.copied);
    });
  }
  with_float_type(g.low_type, [&](auto of) {
    using Low = decltype(of);
    update_typed<Low, Low>(stream, args, static_cast<const Low*>(g.low), g.high, g.lows);
  });
}

void lamb_norms(StreamRef stream, const OptimizerArgs& args, float* norms) {
  const GradientArgs& g = args.gradient;
  float* const none = nullptr;
  with_float_type(g.low_type, [&](auto of) {
    using Low = decltype(of);
    launch(stream, {{kLambParts, args.segment_count}, {kThreads}}, norms_of<Low>, args.rule,
           moments_of(args), part_of(args, static_cast<const Low*>(g.low), none, 0, g.lows),
           part_of(args, g.high, none, g.lows, g.lows + g.highs), args.step, args.segments, norms);
  });
}

}  // namespace kd::kernels
