// Inverted dropout: y = x / (1 - rate) where kept, 0 elsewhere. Element i is kept iff
// uniform01(word i % 4 of philox(seed, dropout, step, tensor_id, i / 4)) >= rate: the bits of
// kd/random.h (Philox4x32-10, Salmon et al., SC 2011), whatever the engine.
// Bytes: x and y, and the 16 of the key; 25 integer operations an element. Threads: four or eight
// neighbouring elements (16 bytes), one or two Philox calls. y may be where x is. A dropped NaN
// becomes 0.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

struct DropoutArgs {
  Type type = Type::f32;
  const void* x = nullptr;
  void* y = nullptr;
  int64_t count = 0;
  const int64_t* key = nullptr;  // seed, step; on the device
  double rate = 0.5;             // in [0, 1)
  int64_t tensor_id = 0;
};
void dropout(StreamRef stream, const DropoutArgs& args);

}  // namespace kd::kernels
