// Moving elements: concat, slice, pad, channel shuffle.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

Array reshape(const Array& x, std::vector<int64_t> shape);
Array concat(const std::vector<Array>& parts, size_t axis);

// Along one axis: begin, begin + step, ... < end.
struct Range {
  size_t axis;
  int64_t begin, end, step;
};
Array slice(const Array& x, const std::vector<Range>& ranges);
// dy scattered into zeros of the given shape.
Array slice_backward(const Array& dy, const std::vector<Range>& ranges, std::vector<int64_t> shape);

struct Margin {
  size_t axis;
  int64_t before, after;
};
Array pad(const Array& x, const std::vector<Margin>& margins);
// Output channel j * groups + g is input channel g * (C / groups) + j.
Array channel_shuffle(const Array& x, int64_t groups);

// Axis i of the result is axis axes[i] of x.
Array transpose(const Array& x, const std::vector<int64_t>& axes);

}  // namespace kd::oracle
