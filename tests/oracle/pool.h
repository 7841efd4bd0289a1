// Pooling over windows of NHWC pictures.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

struct Pooling {
  int64_t window_h = 2, window_w = 2, stride_h = 2, stride_w = 2;
  int64_t top = 0, left = 0, bottom = 0, right = 0;
  bool ceil_mode = false, count_include_pad = false;
};

struct MaxPooled {
  Array y, index;  // index: row * window_w + column of the first largest element of the window
};
MaxPooled max_pool(const Array& x, const Pooling& pool);
Array max_pool_backward(const Array& dy, const Array& index, const Pooling& pool, int64_t h,
                        int64_t w);
Array avg_pool(const Array& x, const Pooling& pool);
Array avg_pool_backward(const Array& dy, const Pooling& pool, int64_t h, int64_t w);
Array global_avg_pool(const Array& x);  // (N, 1, 1, C)
Array global_avg_pool_backward(const Array& dy, int64_t h, int64_t w);

}  // namespace kd::oracle
