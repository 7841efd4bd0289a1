// The ops that train: optimisers and regularisers over a flat arena of P parameters, gradient
// accumulation, averages of weights, the loss scale, and what a step counts. An input that is
// "updated" is overwritten in place.
#pragma once

#include <string_view>

#include "kd/ops.h"

namespace kd {

// --- the update of an arena ----------------------------------------------------------------------
enum class OptimizerKind : uint8_t { sgd, adagrad, rmsprop, adam, adamw, lamb };
std::string_view name_of(OptimizerKind);
OptimizerKind optimizer_from_name(std::string_view);  // throws Error with the nearest valid name
bool has_first_moment(OptimizerKind);                 // sgd, adam, adamw, lamb
bool has_second_moment(OptimizerKind);                // all but sgd

// g is the gradient, divided by the loss scale, clipped, then + weight_decay w + l1 sign(w) +
// l2_start (w - start) for the first decay_elements. t counts updates from 1; lr includes lr_scale.
//   sgd      v = momentum v + g; w -= lr (nesterov ? g + momentum v : v)
//   adagrad  s += g^2; w -= lr g / (sqrt(s) + epsilon)                        (Duchi et al., 2011)
//   rmsprop  s = alpha s + (1 - alpha) g^2; w -= lr g / (sqrt(s) + epsilon)   (Hinton, 2012)
//   adam     m = beta1 m + (1 - beta1) g; s = beta2 s + (1 - beta2) g^2;      (Kingma, Ba, 2015)
//            d = m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + epsilon); w -= lr d
//   adamw    adam, but weight_decay is not in g: w -= lr (d + weight_decay w)
//                                                                      (Loshchilov, Hutter, 2019)
//   lamb     adamw, the step of each tensor times |w| / |d + weight_decay w|, where both are
//            above 0                                                       (You et al., 2020)
// As PyTorch defines them, v, m and s from 0.
struct OptimizerAttrs {
  OptimizerKind kind = OptimizerKind::sgd;
  double momentum = 0.9;  // sgd; 0: plain
  bool nesterov = false;  // sgd
  double alpha = 0.99;    // rmsprop
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0, l1 = 0, l2_start = 0;
  int64_t decay_elements = 0;
  double max_gradient_norm = 0;  // g is scaled to this norm where it is longer; 0: it is not
  int64_t inputs = 0;            // bit i: OptimizerInput i is there; the builders set it
  template <class F>
  void fields(F&& f) {
    f("kind", kind), f("momentum", momentum), f("nesterov", nesterov), f("alpha", alpha),
        f("beta1", beta1), f("beta2", beta2), f("epsilon", epsilon),
        f("weight_decay", weight_decay), f("l1", l1), f("l2_start", l2_start),
        f("decay_elements", decay_elements), f("max_gradient_norm", max_gradient_norm),
        f("inputs", inputs);
  }
};

// The first L elements may have 16-bit copies that the network computes with, and 16-bit
// gradients; the others' gradients are f32. What may be empty, and when, is said of each.
struct OptimizerArena {
  Value weights;           // f32 (P), updated
  Value first = {};        // f32 (P), updated: velocity or first moment; empty if the kind has none
  Value second = {};       // f32 (P), updated: second moment; empty if the kind has none
  Value low_weights = {};  // (L), updated: the weights, rounded; may be empty
  Value low_gradient = {};  // (L), of low_weights' type; may be empty: the others' are (P), of all
  Value high_gradient;      // f32 (P - L)
  Value start = {};         // f32 (P); empty unless l2_start is above 0
  Value lr_scale = {};      // f32 (P): times lr; may be empty
  Value squares = {};  // gradient_squares of the gradients; may be empty unless they are clipped.
                       // Nothing is updated where their sum is not finite
  Value loss_scale = {};  // f32 (1): what the gradients are divided by; may be empty
  Value lr;               // f32 (1)
  Value step = {};        // i64 (2) = seed, updates so far; empty unless adam, adamw or lamb
  Value counters = {};    // loss_scale_update's: its skipped steps count for no update; only with
                          // step; may be empty
  Value segments = {};    // lamb: i32 (S + 1), ascending from 0 to P: where each tensor begins
                          // (fastest at multiples of 4), and P; else empty
  Value norms = {};       // lamb: lamb_norms of the rest of the arena; else empty
};
// The inputs of optimizer_update and lamb_norms in their order. The weights stand for those that
// `OptimizerAttrs::inputs` says are not there.
enum class OptimizerInput : uint8_t {
  weights,
  first,
  second,
  low_weights,
  low_gradient,
  high_gradient,
  start,
  lr_scale,
  squares,
  loss_scale,
  lr,
  step,
  counters,
  segments,
  norms
};
constexpr size_t kOptimizerInputs = 15;
constexpr size_t place_of(OptimizerInput input) { return static_cast<size_t>(input); }
constexpr bool has_input(const OptimizerAttrs& attrs, OptimizerInput input) {
  return (attrs.inputs >> place_of(input) & 1) != 0;
}

// One launch over the arena. Bytes a parameter in f32, and the same with 16-bit copies and
// gradients: sgd, adagrad, rmsprop 20; adam, adamw, lamb 28; + 4 each for start and lr_scale.
void optimizer_update(Graph&, const OptimizerArena&, const OptimizerAttrs&);

// f32 (S, 2, kNormPartials): sums of squares of parts of each tensor's weights and of its
// d + weight_decay w, in a fixed order. 16 bytes a parameter. `norms` of the arena is empty.
constexpr int64_t kNormPartials = 32;
Value lamb_norms(Graph&, const OptimizerArena&, const OptimizerAttrs&);

// --- gradients -----------------------------------------------------------------------------------
constexpr int64_t kGradientPartials = 1024;
// f32 (kGradientPartials): sums of squares of parts of both gradients, in a fixed order. Their sum
// is the squared norm; it is not finite exactly if a gradient is not, or overflows f32.
Value gradient_squares(Graph&, Value low_gradient /* may be empty */, Value high_gradient);

struct AccumulateAttrs {
  double keep = 1;   // 0: the sum is overwritten, whatever it holds: the first of several batches
  double scale = 1;  // 1/n for the mean over n batches
  template <class F>
  void fields(F&& f) {
    f("keep", keep), f("scale", scale);
  }
};
// sum = keep sum + scale gradient. sum: f32 (P), updated; gradient: (P) of any float type. With
// 16-bit weights, sums of both gradients that lie in one f32 (P) are optimizer_update's
// high_gradient, without a low one.
void gradient_accumulate(Graph&, Value sum, Value gradient, const AccumulateAttrs& = {});

// --- weights -------------------------------------------------------------------------------------
struct EmaAttrs {
  double decay = 0.999;
  template <class F>
  void fields(F&& f) {
    f("decay", decay);
  }
};
// average += (1 - decay) (weights - average), an exponential moving average (Polyak, Juditsky,
// 1992; Tarvainen, Valpola, 2017). average: f32 (P), updated; weights: f32 (P).
void ema_update(Graph&, Value average, Value weights, const EmaAttrs& = {});

struct MaxNormAttrs {
  double limit = 3;
  template <class F>
  void fields(F&& f) {
    f("limit", limit);
  }
};
// Scales each row of w that is longer than `limit` to that length, the constraint of Srivastava et
// al., 2014. w: f32, rank 2 or more, updated; a row is all of one place in axis 0, one output unit
// of (K, R, S, C) or (K, D). low: w's 16-bit copy, updated; may be empty.
void max_norm(Graph&, Value w, Value low /* may be empty */, const MaxNormAttrs& = {});

// --- what a step counts --------------------------------------------------------------------------
struct LossScaleAttrs {  // dynamic loss scaling (Micikevicius et al., ICLR 2018)
  double growth = 2, backoff = 0.5;
  int64_t interval = 2000;  // good steps in a row before it grows
  double least = 1, most = 0x1p24;
  template <class F>
  void fields(F&& f) {
    f("growth", growth), f("backoff", backoff), f("interval", interval), f("least", least),
        f("most", most);
  }
};
// After a step: loss_scale (f32 (1)) backs off if `squares` are not finite, else grows now and
// then. counters: i32 (2) = good steps in a row, steps skipped so far. Both are updated.
void loss_scale_update(Graph&, Value squares, Value loss_scale, Value counters,
                       const LossScaleAttrs&);
// After a step: key (i64 (2) = seed, step) counts on, and row (f32 (C)) becomes table[step] of
// table (f32 (S, C)), the last row from there on. Both are updated.
void advance_step(Graph&, Value key, Value row, Value table);

}  // namespace kd
