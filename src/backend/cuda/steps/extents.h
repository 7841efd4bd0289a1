// The engine's shapes as kernels take them.
#pragma once

#include "kd/shape.h"
#include "kernels/extents.h"

namespace kd::cuda {

static_assert(kernels::kAxes == Shape::kMaxRank);

// Where axis `axis` of a shape is among an Extents' five.
inline int place_of(const Shape& shape, int64_t axis) {
  return static_cast<int>(axis) + Shape::kMaxRank - shape.rank();
}

inline kernels::Extents extents_of(const Shape& shape) {
  kernels::Extents dims;
  for (int axis = 0; axis < shape.rank(); ++axis) dims.at[place_of(shape, axis)] = shape[axis];
  return dims;
}

}  // namespace kd::cuda
