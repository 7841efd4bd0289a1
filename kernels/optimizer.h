// Optimiser updates over flat arenas, each one pass over memory, and what a step counts.
//   g += decay w (the first decay_elements only); v = momentum v + g;
//   w -= lr (nesterov ? g + momentum v : v)
// sgd_update: f32, 20 bytes a parameter (reads w, g, v; writes w, v), 6 FLOP.
// gradient_squares: partial p is the sum of squares of what block p reads: vectors p, p + 1024, ...
//   of 256 lanes each, first of the low gradient, then of the high one. 2 bytes a parameter of a
//   16-bit gradient, 4 of an f32 one.
// sgd_update_mixed: g = gradient / loss_scale; also writes the 16-bit copies. 20 bytes a parameter
//   with a 16-bit copy (reads w, v, g: 4 + 4 + 2; writes w, v, copy: 4 + 4 + 2), 20 without. Every
//   block adds up the 1024 partial squares in one order; if the sum is not finite, none writes.
// Threads: four neighbouring elements (16 bytes of f32), in steps of the grid. The first `lows`
// elements go by vectors where their arrays are aligned, the rest and the tails one at a time.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

constexpr int kSquarePartials = 1024;

struct SgdRule {
  float momentum = 0, decay = 0;
  bool nesterov = false;
  int64_t decay_elements = 0;
};

struct SgdArgs {
  float* weights = nullptr;
  const float* gradient = nullptr;
  float* velocity = nullptr;
  const float* lr = nullptr;  // all pointers are to device memory
  int64_t count = 0;
  SgdRule rule;
};
void sgd_update(StreamRef stream, const SgdArgs& args);

struct GradientArgs {
  Type low_type = Type::f32;
  const void* low = nullptr;    // lows elements of low_type
  const float* high = nullptr;  // highs elements
  int64_t lows = 0, highs = 0;
};
void gradient_squares(StreamRef stream, const GradientArgs& gradient, float* squares);

struct MixedSgdArgs {
  float *weights = nullptr, *velocity = nullptr;  // lows + highs elements
  void* low_weights = nullptr;                    // lows elements of low_type
  GradientArgs gradient;
  const float *squares = nullptr, *lr = nullptr, *loss_scale = nullptr;
  SgdRule rule;
};
void sgd_update_mixed(StreamRef stream, const MixedSgdArgs& args);

// counters[0]: good steps in a row; counters[1]: skipped steps.
struct LossScaleArgs {
  const float* squares = nullptr;
  float* loss_scale = nullptr;
  int32_t* counters = nullptr;
  float growth = 2, backoff = 0.5f, least = 1, most = 1;
  int64_t interval = 2000;
};
void loss_scale_update(StreamRef stream, const LossScaleArgs& args);

// key[1] += 1; row (columns) = table[key[1]] (rows, columns), or the nearest row there is. One
// block; 8 bytes a column.
struct AdvanceStepArgs {
  int64_t* key = nullptr;
  float* row = nullptr;
  const float* table = nullptr;
  int64_t rows = 0, columns = 0;
};
void advance_step(StreamRef stream, const AdvanceStepArgs& args);

}  // namespace kd::kernels
