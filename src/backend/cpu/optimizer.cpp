// Optimiser updates over flat arenas, in f32 and with 16-bit copies, and LAMB's norms.
#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu.h"
#include "backend/cpu/float_type.h"
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
  const float *start, *lr_scale, *high;
  const void* low;
  void* copies;
  OptimizerShape shape;

  Arena(const OptimizerPointers& of, const OptimizerShape& sizes)
      : weights(of.at(In::weights)),
        first(of.at(In::first)),
        second(of.at(In::second)),
        start(of.at(In::start)),
        lr_scale(of.at(In::lr_scale)),
        high(of.at(In::high_gradient)),
        low(of.at<void>(In::low_gradient)),
        copies(of.at<void>(In::low_weights)),
        shape(sizes) {}
  float gradient(int64_t i) const {
    return i < shape.lows ? FloatType{shape.low}.get(low, i) : high[i - shape.lows];
  }
  OptimizerElement element(int64_t i) const {
    return {weights[i], first == nullptr ? 0 : first[i], second == nullptr ? 0 : second[i]};
  }
};

float sum_of(const float* squares) {
  float sum = 0;
  for (int64_t i = 0; i < kGradientPartials; ++i) sum += squares[i];
  return sum;
}

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

// What element i's step is, its moments taken on.
template <Optimizer kKind>
float direction_at(const Arena& arena, const OptimizerRule& rule, const StepScalars& step,
                   int64_t i, OptimizerElement& e) {
  const bool decayed = i < rule.decay_elements;
  const float start = arena.start == nullptr ? 0 : arena.start[i];
  const float g = kernels::regularised<kKind>(rule, decayed, arena.gradient(i) * step.gradient,
                                              e.weight, start);
  return kernels::direction<kKind>(rule, step, decayed, g, e);
}

template <Optimizer kKind>
void update(const Arena& arena, const OptimizerRule& rule, const StepScalars& step, int64_t begin,
            int64_t end) {
  const FloatType copies{arena.shape.copies};
#pragma omp parallel for simd schedule(static)
  for (int64_t i = begin; i < end; ++i) {
    OptimizerElement e = arena.element(i);
    const float d = direction_at<kKind>(arena, rule, step, i, e);
    const float lr = arena.lr_scale == nullptr ? step.lr : step.lr * arena.lr_scale[i];
    arena.weights[i] = e.weight - lr * d;
    if constexpr (kernels::has_first(kKind)) arena.first[i] = e.first;
    if constexpr (kernels::has_second(kKind)) arena.second[i] = e.second;
    if (i < arena.shape.copied) copies.put(arena.copies, i, arena.weights[i]);
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

// Part p of a segment covers its elements p, p + kNormPartials, ...
void norms_of(const Arena& arena, const OptimizerRule& rule, const StepScalars& step,
              const int32_t* segments, float* norms) {
  const int64_t parts = arena.shape.segments * kNormPartials;
#pragma omp parallel for schedule(dynamic, 8)
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t segment = part / kNormPartials, p = part % kNormPartials;
    float of_weights = 0, of_directions = 0;
    for (int64_t i = segments[segment] + p; i < segments[segment + 1]; i += kNormPartials) {
      OptimizerElement e = arena.element(i);
      const float d = direction_at<Optimizer::lamb>(arena, rule, step, i, e);
      of_weights += e.weight * e.weight;
      of_directions += d * d;
    }
    norms[segment * 2 * kNormPartials + p] = of_weights;
    norms[(segment * 2 + 1) * kNormPartials + p] = of_directions;
  }
}

}  // namespace

StepPtr prepare_optimizer_update(const PrepareRequest& request) {
  const auto attrs = request.node.attr<OptimizerAttrs>();
  return make_step([=, rule = rule_of(attrs), shape = OptimizerShape(request)](const Pointers& p) {
    const OptimizerPointers of{p, attrs};
    const auto* squares = of.at(In::squares);
    const float sum = squares == nullptr ? 0 : sum_of(squares);
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
    const StepScalars step = scalars_of(of, rule, squares == nullptr ? 0 : sum_of(squares));
    norms_of(Arena(of, shape), rule, step, of.at<int32_t>(In::segments), out<float>(p, 0));
  });
}

}  // namespace kd::cpu
