// y (rows, columns) += bias (columns), in place: what is left of a fully connected layer where the
// matrix product's library adds no bias of that type.
//
// Bytes: 2 y + bias. FLOPs: one an element. Mapping: grid-stride loop over elements, one a thread;
// the matrices are logits, a few hundred KiB at most. NaN and infinities pass as in any addition.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

struct BiasRows {
  void* y = nullptr;
  const void* bias = nullptr;
  int64_t rows = 0, columns = 0;
  Type type = Type::f32;  // of both
};
void add_bias_rows(StreamRef stream, const BiasRows& args);

}  // namespace kd::kernels
