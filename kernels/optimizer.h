// Optimiser updates over flat arenas, each one pass over memory, and the norms that LAMB needs.
// Formulas: optimizer_rule.h. Bytes a parameter: reads and writes of weights and of the moments
// that the kind has (8 each), the gradient and the copy (4 in f32 without copies, 2 + 2 in 16
// bits), 4 each of start and lr_scale where they are there:
//   sgd, adagrad, rmsprop 20; adam, adamw, lamb 28; lamb_norms 16. 6 to 14 FLOP.
// Every block adds up the 1024 partial squares, if there are any, in one order; if the sum is not
// finite, none writes. Else NaN and infinities pass.
// Threads: four neighbouring elements (16 bytes of f32), in steps of the grid, where arrays are
// aligned; tails, and what is not aligned, one at a time. LAMB: kLambParts blocks a tensor, each in
// steps of those; every warp of an update adds up its tensor's partial norms in one order.
#pragma once

#include "kernels/optimizer_rule.h"

namespace kd::kernels {

constexpr int kSquarePartials = 1024, kLambParts = 32;

struct GradientArgs {
  Type low_type = Type::f32;
  const void* low = nullptr;    // lows elements of low_type
  const float* high = nullptr;  // highs elements
  int64_t lows = 0, highs = 0;
};

// What a step is told on the device; those that may be nullptr are not there.
struct StepInputs {
  const float* squares = nullptr;     // kSquarePartials, or nullptr
  const float* loss_scale = nullptr;  // or nullptr: 1
  const float* lr = nullptr;
  const int64_t* key = nullptr;       // key[1]: updates so far; nullptr where t is not needed
  const int32_t* counters = nullptr;  // counters[1]: of them skipped; or nullptr
};

// All pointers are to device memory.
struct OptimizerArgs {
  OptimizerRule rule;
  float *weights = nullptr, *first = nullptr, *second = nullptr;  // lows + highs elements
  const float *start = nullptr, *lr_scale = nullptr;              // or nullptr
  GradientArgs gradient;
  // The first `copied` weights, rounded; as many as lows, where there are lows.
  Type copy_type = Type::f32;
  void* copies = nullptr;
  int64_t copied = 0;
  StepInputs step;
  const int32_t* segments = nullptr;  // lamb: segment_count + 1 offsets, fastest as multiples of 4
  int64_t segment_count = 0;
  const float* norms = nullptr;  // lamb
};
void optimizer_update(StreamRef stream, const OptimizerArgs& args);
// norms: (segment_count, 2, kLambParts).
void lamb_norms(StreamRef stream, const OptimizerArgs& args, float* norms);

}  // namespace kd::kernels
