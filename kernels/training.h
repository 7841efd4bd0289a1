// What stands beside the update of an arena (optimizer.h): norms, sums and averages, and what a
// step counts.
// gradient_squares: partial p is the sum of squares of what block p reads: vectors p, p + 1024, ...
//   of 256 lanes each, first of the low gradient, then of the high one. 2 bytes a parameter of a
//   16-bit gradient, 4 of an f32 one.
// gradient_accumulate: sum = keep sum + scale gradient; keep 0 reads no sum. 12 bytes a parameter,
//   10 from a 16-bit gradient; 4 less where keep is 0. ema_update: average += take (weights -
//   average), 12 bytes. Both as `map` of map.cuh does it. NaN and infinities pass.
// max_norm: rows longer than `limit` are scaled to it, in place, and copied in 16 bits. A block a
//   row, which is read again from the cache: 4 bytes a weight, 4 more in a row that is scaled, 2
//   for a copy. A row with a NaN stays as it is; one whose squares overflow f32 becomes 0 (its
//   infinities NaN).
#pragma once

#include "kernels/optimizer.h"

namespace kd::kernels {

// gradient.lows may be 0. squares: kSquarePartials.
void gradient_squares(StreamRef stream, const GradientArgs& gradient, float* squares);

struct AccumulateArgs {
  float* sum = nullptr;
  Type gradient_type = Type::f32;
  const void* gradient = nullptr;
  int64_t count = 0;
  float keep = 1, scale = 1;
};
void gradient_accumulate(StreamRef stream, const AccumulateArgs& args);

struct EmaArgs {
  float* average = nullptr;
  const float* weights = nullptr;
  int64_t count = 0;
  float take = 0;  // 1 - decay
};
void ema_update(StreamRef stream, const EmaArgs& args);

struct MaxNormArgs {
  float* weights = nullptr;  // (rows, columns)
  Type copy_type = Type::f32;
  void* copies = nullptr;  // or nullptr
  int64_t rows = 0, columns = 0;
  float limit = 1;
};
void max_norm(StreamRef stream, const MaxNormArgs& args);

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
