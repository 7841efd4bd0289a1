// Optimiser updates over flat arenas, in f32 and with 16-bit copies, and LAMB's norms.
#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu.h"
#include "backend/cpu/flat.h"
#include "backend/optimizer_inputs.h"

namespace kd::cpu {
namespace {

using kernels::Optimizer;
using kernels::OptimizerElement;
using kernels::OptimizerRule;
using kernels::StepScalars;
using In = OptimizerInput;

// An arena as one run finds it.
struct Arena {
  float *weights, *first, *second;
  const float *start, *lr_scale;
  void* copies;
  Gradients gradients;
  OptimizerShape shape;

  Arena(const OptimizerPointers& of, const OptimizerShape& sizes)
      : weights(of.at(In::weights)),
        first(of.at(In::first)),
        second(of.at(In::second)),
        start(of.at(In::start)),
        lr_scale(of.at(In::lr_scale)),
        copies(of.at<void>(In::low_weights)),
        gradients{of.at<void>(In::low_gradient), {sizes.low}, sizes.lows, of.at(In::high_gradient)},
        shape(sizes) {}
};

StepScalars scalars_of(const OptimizerPointers& of, const OptimizerRule& rule, float squares) {
  const auto *lr = of.at(In::lr), *loss_scale = of.at(In::loss_scale);
  StepScalars step;
  step.lr = *lr;
  step.gradient = gradient_factor(rule, loss_scale == nullptr ? 1.0f : 1 / *loss_scale, squares);
  if (const auto* key = of.at<int64_t>(In::step)) {
    const auto* counters = of.at<int32_t>(In::counters);
    correct_bias(rule, key[1] + 1 - (counters == nullptr ? 0 : counters[1]), step);
  }
  return step;
}

// The directions of elements at .. at + count, a block at most; their moments are taken on where
// they are kept. Straight loops over what does not alias: they become vectors.
enum class Keep : uint8_t { moments, nothing };
template <Optimizer kKind, Keep kKeep>
void find_directions(const Arena& arena, OptimizerRule rule, StepScalars step, int64_t at,
                     int64_t count, float* directions) {
  float buffer[kBlock];
  const float* gradients = arena.gradients.read(at, count, buffer);
  const float* w = arena.weights + at;
  const float* start =
      arena.start == nullptr ? w : arena.start + at;  // not used where there is none
  float* first = kernels::has_first(kKind) ? arena.first + at : nullptr;
  float* second = kernels::has_second(kKind) ? arena.second + at : nullptr;
  const int64_t decayed = rule.decay_elements - at;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    OptimizerElement e{w[i]};
    if constexpr (kernels::has_first(kKind)) e.first = first[i];
    if constexpr (kernels::has_second(kKind)) e.second = second[i];
    const float g = kernels::regularised<kKind>(rule, i < decayed, gradients[i] * step.gradient,
                                                e.weight, start[i]);
    directions[i] = kernels::direction<kKind>(rule, step, i < decayed, g, e);
    if constexpr (kKeep == Keep::moments && kernels::has_first(kKind)) first[i] = e.first;
    if constexpr (kKeep == Keep::moments && kernels::has_second(kKind)) second[i] = e.second;
  }
}

template <Optimizer kKind>
void update_block(const Arena& arena, const OptimizerRule& rule, const StepScalars& step,
                  int64_t at, int64_t count) {
  float directions[kBlock];
  find_directions<kKind, Keep::moments>(arena, rule, step, at, count, directions);
  float* w = arena.weights + at;
  const float lr = step.lr;
  if (arena.lr_scale == nullptr) {
    for (int64_t i = 0; i < count; ++i) w[i] -= lr * directions[i];
  } else {
    const float* scale = arena.lr_scale + at;
    for (int64_t i = 0; i < count; ++i) w[i] -= lr * scale[i] * directions[i];
  }
  const FloatType copies{arena.shape.copies};
  const int64_t copied = std::min(arena.shape.copied - at, count);
  for (int64_t i = 0; i < copied; ++i) copies.put(arena.copies, at + i, w[i]);
}

template <Optimizer kKind>
void update(const Arena& arena, const OptimizerRule& rule, const StepScalars& step, int64_t begin,
            int64_t end) {
#pragma omp parallel for schedule(static)
  for (int64_t at = begin; at < end; at += kBlock) {
    update_block<kKind>(arena, rule, step, at, std::min(kBlock, end - at));
  }
}

float trust_of(const float* norms, int64_t segment) {
  const float* at = norms + segment * 2 * kNormPartials;
  float of_weights = 0, of_directions = 0;
  for (int64_t p = 0; p < kNormPartials; ++p) {
    of_weights += at[p];
    of_directions += at[kNormPartials + p];
  }
  return kernels::trust_ratio(of_weights, of_directions);
}

struct Norms {  // sums of squares
  float weights = 0, directions = 0;
};
Norms norms_between(const Arena& arena, const OptimizerRule& rule, const StepScalars& step,
                    int64_t begin, int64_t end) {
  float directions[kBlock];
  Norms sums;
  for (int64_t at = begin; at < end; at += kBlock) {
    const int64_t count = std::min(kBlock, end - at);
    find_directions<Optimizer::lamb, Keep::nothing>(arena, rule, step, at, count, directions);
    sums.weights += sum_of_squares(arena.weights + at, count);
    sums.directions += sum_of_squares(directions, count);
  }
  return sums;
}

// Part p of a segment is the p-th of its equal pieces.
void norms_of(const Arena& arena, const OptimizerRule& rule, const StepScalars& step,
              const int32_t* segments, float* norms) {
  const int64_t parts = arena.shape.segments * kNormPartials;
#pragma omp parallel for schedule(dynamic, 8)
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t segment = part / kNormPartials, p = part % kNormPartials;
    const int64_t begin = segments[segment], end = segments[segment + 1];
    const int64_t each = (end - begin + kNormPartials - 1) / kNormPartials;
    const Norms sums =
        norms_between(arena, rule, step, begin + p * each, std::min(end, begin + (p + 1) * each));
    norms[segment * 2 * kNormPartials + p] = sums.weights;
    norms[(segment * 2 + 1) * kNormPartials + p] = sums.directions;
  }
}

}  // namespace

StepPtr prepare_optimizer_update(const PrepareRequest& request) {
  const auto attrs = request.node.attr<OptimizerAttrs>();
  return make_step([=, rule = rule_of(attrs), shape = OptimizerShape(request)](const Pointers& p) {
    const OptimizerPointers of{p, attrs};
    const auto* squares = of.at(In::squares);
    const float sum = squares == nullptr ? 0 : sum_of_partials(squares);
    if (!std::isfinite(sum)) return;
    const Arena arena(of, shape);
    StepScalars step = scalars_of(of, rule, sum);
    kernels::with_optimizer(rule.kind, [&](auto kind) {
      constexpr Optimizer kKind = decltype(kind)::kind;
      if constexpr (kKind == Optimizer::lamb) {
        const auto* segments = of.at<int32_t>(In::segments);
        const float lr = step.lr;
        for (int64_t s = 0; s < shape.segments; ++s) {
          step.lr = lr * trust_of(of.at(In::norms), s);
          update<kKind>(arena, rule, step, segments[s], segments[s + 1]);
        }
      } else {
        update<kKind>(arena, rule, step, 0, shape.count);
      }
    });
  });
}

StepPtr prepare_lamb_norms(const PrepareRequest& request) {
  const auto attrs = request.node.attr<OptimizerAttrs>();
  return make_step([=, rule = rule_of(attrs), shape = OptimizerShape(request)](const Pointers& p) {
    const OptimizerPointers of{p, attrs};
    const auto* squares = of.at(In::squares);
    const StepScalars step =
        scalars_of(of, rule, squares == nullptr ? 0 : sum_of_partials(squares));
    norms_of(Arena(of, shape), rule, step, of.at<int32_t>(In::segments), out<float>(p, 0));
  });
}

}  // namespace kd::cpu
