// sum_to: y (kept dims) = sums of x over the axes along which y has length 1, in float.
// Reads x once; 1 FLOP an element. By what remains after adjacent axes are merged:
//   columns    (outer, rows, inner) -> (outer, inner), inner > 1: a thread owns one vector of
//   columns
//              and every 8th or so row of a chunk of rows; 16-byte loads, four in flight.
//   long rows  (outer, length) -> (outer): a block a chunk of a row; 16-byte loads.
//   others     a warp an output, element by element: short rows, and axes in any other order.
// Chunks exist where there would be too few blocks; they leave f32 partial sums in the workspace,
// which a second launch adds in order. How sums are split depends on shapes and alignment only, so
// the same input gives the same bits. NaN and infinities go where they are added.
#pragma once

#include <cstddef>

#include "kernels/extents.h"

namespace kd::kernels {

struct SumArgs {
  Type type = Type::f32;  // of x and y
  const void* x = nullptr;
  void* y = nullptr;
  Extents dims_x, dims_y;
  void* workspace = nullptr;  // sum_workspace(), aligned to 16 bytes
};
size_t sum_workspace(const Extents& dims_x, const Extents& dims_y);
void sum_to(StreamRef stream, const SumArgs& args);

}  // namespace kd::kernels
