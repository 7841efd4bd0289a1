// Pooling over windows of NHWC pictures, and its gradients, which gather: each element of dx sums
// the windows that cover it, in row order; nothing is added atomically.
//
//   max_pool:  y = the window's maximum, index = its place in the window (row * width + column).
//              The first of equal ones wins; NaN wins over numbers (the last NaN of the window).
//   avg_pool:  y = sum / places, places being those inside x, or inside its padding where counted.
//   global:    y (N, 1, 1, C) = mean over H W.
//
// A thread takes 8 channels (1 where C is not a multiple of 8) of an output position and walks its
// window; neighbouring lanes read neighbouring channels. Global pooling splits H W over the rows
// of a block. Bytes: x and y once each way from DRAM (overlaps of windows come from cache), index
// 1 an element of y; FLOPs: one a window place. Sums are in float; NaN and infinities pass through
// them.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

struct PoolSide {  // of rows, or of columns
  int size = 0, pooled = 0;
  int window = 1, stride = 1;
  int before = 0, after = 0;  // padding
};
struct PoolShape {
  Type type = Type::f32;
  int64_t images = 0, channels = 0;
  PoolSide rows, columns;
  bool count_include_pad = false;
};

void max_pool(StreamRef stream, const PoolShape& shape, const void* x, void* y, uint8_t* index);
void max_pool_backward(StreamRef stream, const PoolShape& shape, const void* dy,
                       const uint8_t* index, void* dx);
void avg_pool(StreamRef stream, const PoolShape& shape, const void* x, void* y);
void avg_pool_backward(StreamRef stream, const PoolShape& shape, const void* dy, void* dx);

struct GlobalPoolShape {
  Type type = Type::f32;
  int64_t images = 0, places = 0, channels = 0;  // places = H W
};
void global_avg_pool(StreamRef stream, const GlobalPoolShape& shape, const void* x, void* y);
void global_avg_pool_backward(StreamRef stream, const GlobalPoolShape& shape, const void* dy,
                              void* dx);

}  // namespace kd::kernels
