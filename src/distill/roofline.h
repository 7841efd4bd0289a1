// What a machine can do at most, measured: the roof that a profile is held against (Williams,
// Waterman, Patterson 2009).
#pragma once

#include "kd/backend.h"

namespace kd {

struct Roofline {
  double flops = 0, bytes = 0;  // a second
  DType dtype = DType::f32;     // of the matrix product that `flops` is of

  // The least seconds that this can take, and whether bytes decide it.
  double least_seconds(const Cost& cost) const;
  bool is_memory_bound(const Cost& cost) const;
};

// Takes about a second. `flops`: the fastest of some products of square matrices; `bytes`: of
// streams through memory far larger than any cache.
Roofline measure_roofline(Backend& backend, DType dtype);

// Bytes a second that backend.copy reads and writes in a buffer larger than any cache: the median.
double copy_bandwidth(Backend& backend);

}  // namespace kd
