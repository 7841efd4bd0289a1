// Shapes as the kernels take them.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

constexpr int kAxes = 5;

// Up to five dimensions, outermost first, with leading ones.
struct Extents {
  int64_t at[kAxes] = {1, 1, 1, 1, 1};

  int64_t elements() const { return at[0] * at[1] * at[2] * at[3] * at[4]; }
};

// Elements between neighbours along each axis.
struct Strides {
  int64_t at[kAxes] = {0, 0, 0, 0, 0};
};

// Of a dense tensor read under broadcasting: 0 along axes of length 1.
inline Strides broadcast_strides(const Extents& dims) {
  Strides strides;
  int64_t stride = 1;
  for (int axis = kAxes - 1; axis >= 0; --axis) {
    strides.at[axis] = dims.at[axis] == 1 ? 0 : stride;
    stride *= dims.at[axis];
  }
  return strides;
}

}  // namespace kd::kernels
