// Moving elements of any type by their size: 1, 2, 4 or 8 bytes.
//   copy       bytes as they are
//   copy_box   dst[sum i_k dst_k] = src[sum i_k src_k] for all i of a box: slices, parts of a
//              concatenation, transposed channels
//   place_box  src between zeros: dst[begin + i step] = src[i] along each axis, 0 elsewhere; one
//              pass, which writes each element of dst once
// Bytes: what is read and what is written. Where a run of elements is contiguous in both tensors,
// and aligned, units of up to 16 bytes are moved in place of elements; where only the destination
// is, four elements are gathered (two of 8 bytes) before they are stored. Threads: kUnits such
// units each, a block apart, in the order of the destination. Bits are never changed.
#pragma once

#include "kernels/extents.h"

namespace kd::kernels {

void copy(StreamRef stream, const void* src, void* dst, int64_t bytes);

struct CopyBoxArgs {
  const void* src = nullptr;  // of element (0, 0, ..)
  void* dst = nullptr;
  int64_t element = 4;  // bytes
  Extents dims;         // of the box
  Strides src_strides, dst_strides;
};
void copy_box(StreamRef stream, const CopyBoxArgs& args);

struct PlaceBoxArgs {
  const void* src = nullptr;  // dense, of the dimensions `count`
  void* dst = nullptr;        // dense
  int64_t element = 4;        // bytes
  Extents dims;               // of dst
  Extents count, step;
  Strides begin;
};
void place_box(StreamRef stream, const PlaceBoxArgs& args);

}  // namespace kd::kernels
