// Convolution by its definition: NHWC activations, KRSC weights.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

struct Convolution {
  int64_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t top = 0, left = 0, bottom = 0, right = 0;
  int64_t groups = 1;
};

// y[n,i,j,k] = sum over r, s, c of x[n, i stride + r dilation - top, ..., c] w[k,r,s,c]
Array conv2d(const Array& x, const Array& w, const Convolution& conv);
// d sum(dy y)/dx, x of h rows and `width` columns; d sum(dy y)/dw, w of r rows and s columns.
Array conv2d_dgrad(const Array& dy, const Array& w, const Convolution& conv, int64_t h,
                   int64_t width);
Array conv2d_wgrad(const Array& x, const Array& dy, const Convolution& conv, int64_t r, int64_t s);

}  // namespace kd::oracle
