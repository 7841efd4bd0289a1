#include "kernels/shape.h"
#include "kernels/strided.cuh"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = 256, kUnits = 2;

Grid grid_of(int64_t units) { return {{divided_up(units, kThreads * kUnits)}, {kThreads}}; }

__device__ inline int64_t first_unit() {
  return static_cast<int64_t>(blockIdx.x) * (kThreads * kUnits) + threadIdx.x;
}

// Calls body(Unit{}) for the type of a unit of `bytes`.
template <class Body>
void with_unit(int64_t bytes, const Body& body) {
  switch (bytes) {
    case 1:
      return body(uint8_t{});
    case 2:
      return body(uint16_t{});
    case 4:
      return body(uint32_t{});
    case 8:
      return body(uint64_t{});
    case 16:
      return body(Vec<uint32_t, 4>{});
    default:
      throw LaunchError("elements of " + std::to_string(bytes) + " bytes can't be moved");
  }
}

// For a destination with gaps.
template <class Unit>
__global__ void __launch_bounds__(kThreads)
    scatter(const Unit* __restrict__ src, Unit* __restrict__ dst, const Strided from,
            const Strided to, int64_t count) {
  const int64_t first = first_unit();
  Unit units[kUnits];
#pragma unroll
  for (int u = 0; u < kUnits; ++u) {
    const int64_t i = first + u * kThreads;
    if (i < count) units[u] = src[from.offset(i)];
  }
#pragma unroll
  for (int u = 0; u < kUnits; ++u) {
    const int64_t i = first + u * kThreads;
    if (i < count) dst[to.offset(i)] = units[u];
  }
}

// One axis of a placement: coordinate c of dst is begin + i step, or between.
struct PlacedAxis {
  Divider dims, step;
  int64_t begin, count, stride;  // the stride of src
};
struct Placement {
  int rank;
  bool narrow;
  PlacedAxis axis[kAxes];

  // The offset in src of element `index` of dst, or -1 where dst is zero.
  __device__ int64_t source(int64_t index) const {
    int64_t offset = 0;
    bool inside = true;
#pragma unroll
    for (int k = kAxes - 1; k >= 0; --k) {
      if (k >= rank) continue;
      const PlacedAxis& a = axis[k];
      const int64_t rest = a.dims.quotient(index, narrow);
      const int64_t c = index - rest * a.dims.divisor() - a.begin;
      const int64_t i = c < 0 ? 0 : a.step.quotient(c, narrow);
      inside = inside && c >= 0 && i < a.count && i * a.step.divisor() == c;
      offset += i * a.stride;
      index = rest;
    }
    return inside ? offset : -1;
  }
};

struct Everywhere {
  Strided strided;
  __device__ int64_t source(int64_t index) const { return strided.offset(index); }
};

template <class Unit, class Where>
__device__ Unit unit_at(const Unit* src, const Where& where, int64_t i, int64_t count) {
  const int64_t from = i < count ? where.source(i) : -1;
  return from < 0 ? Unit{} : src[from];
}

// For a dense destination: kPack units that may come from anywhere are stored as one.
template <int kPack, class Unit, class Where>
__global__ void __launch_bounds__(kThreads)
    gather(const Unit* __restrict__ src, Unit* __restrict__ dst, const Where where, int64_t count) {
  const int64_t first = first_unit();
  Vec<Unit, kPack> packs[kUnits];
#pragma unroll
  for (int u = 0; u < kUnits; ++u) {
    const int64_t i = (first + u * kThreads) * kPack;
#pragma unroll
    for (int k = 0; k < kPack; ++k) packs[u].at[k] = unit_at(src, where, i + k, count);
  }
#pragma unroll
  for (int u = 0; u < kUnits; ++u) {
    const int64_t i = (first + u * kThreads) * kPack;
    if (i + kPack <= count) {
      store(dst + i, packs[u]);
      continue;
    }
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      if (i + k < count) dst[i + k] = packs[u].at[k];
    }
  }
}

template <class Unit, class Where>
void launch_gather(StreamRef stream, const void* src, void* dst, const Where& where,
                   int64_t count) {
  constexpr int kPack = sizeof(Unit) <= 4 ? 4 : 16 / static_cast<int>(sizeof(Unit));
  const auto* from = static_cast<const Unit*>(src);
  auto* to = static_cast<Unit*>(dst);
  if (kPack > 1 && is_aligned<kPack>(to)) {
    launch(stream, grid_of(divided_up(count, kPack)), gather<kPack, Unit, Where>, from, to, where,
           count);
  } else {
    launch(stream, grid_of(count), gather<1, Unit, Where>, from, to, where, count);
  }
}

bool is_aligned_to(const void* at, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(at) % static_cast<uintptr_t>(bytes) == 0;
}

// Rewrites a box in units of twice the size, if it can be.
bool widen(CopyBoxArgs& args) {
  int64_t &run = args.dims.at[kAxes - 1], wide = args.element * 2;
  if (wide > 16 || run % 2 != 0 || args.src_strides.at[kAxes - 1] != 1 ||
      args.dst_strides.at[kAxes - 1] != 1) {
    return false;
  }
  if (!is_aligned_to(args.src, wide) || !is_aligned_to(args.dst, wide)) return false;
  for (int axis = 0; axis < kAxes - 1; ++axis) {
    const bool even = args.src_strides.at[axis] % 2 == 0 && args.dst_strides.at[axis] % 2 == 0;
    if (args.dims.at[axis] > 1 && !even) return false;
  }
  for (int axis = 0; axis < kAxes - 1; ++axis) {
    args.src_strides.at[axis] /= 2;
    args.dst_strides.at[axis] /= 2;
  }
  run /= 2;
  args.element = wide;
  return true;
}

// The same rows, longer: merges the two innermost axes that are longer than 1 into the last, if
// they lie one after the other in both tensors.
bool merge(CopyBoxArgs& args) {
  const int last = kAxes - 1;
  int64_t *dims = args.dims.at, *src = args.src_strides.at, *dst = args.dst_strides.at;
  int outer = last - 1;
  while (outer >= 0 && dims[outer] == 1) --outer;
  if (outer < 0) return false;
  const bool run = dims[last] == 1 ||
                   (src[outer] == src[last] * dims[last] && dst[outer] == dst[last] * dims[last]);
  if (!run) return false;
  if (dims[last] == 1) src[last] = src[outer], dst[last] = dst[outer];
  dims[last] *= dims[outer];
  dims[outer] = 1;
  return true;
}

// Likewise for a placement whose inner axis is filled.
bool merge(PlaceBoxArgs& args) {
  const int last = kAxes - 1;
  int outer = last - 1;
  while (outer >= 0 && args.dims.at[outer] == 1) --outer;
  const int64_t inner = args.dims.at[last];
  const bool filled = args.begin.at[last] == 0 && args.count.at[last] == inner;
  if (outer < 0 || !filled || (inner > 1 && args.step.at[outer] != 1)) return false;
  args.dims.at[last] *= args.dims.at[outer];
  args.count.at[last] *= args.count.at[outer];
  args.begin.at[last] = args.begin.at[outer] * inner;
  args.step.at[last] = args.step.at[outer];
  args.dims.at[outer] = args.count.at[outer] = args.step.at[outer] = 1;
  args.begin.at[outer] = 0;
  return true;
}

bool widen(PlaceBoxArgs& args) {
  const int last = kAxes - 1;
  const int64_t wide = args.element * 2;
  if (wide > 16 || args.step.at[last] != 1 || !is_aligned_to(args.src, wide) ||
      !is_aligned_to(args.dst, wide)) {
    return false;
  }
  for (int64_t* length : {&args.dims.at[last], &args.count.at[last], &args.begin.at[last]}) {
    if (*length % 2 != 0) return false;
  }
  args.dims.at[last] /= 2;
  args.count.at[last] /= 2;
  args.begin.at[last] /= 2;
  args.element = wide;
  return true;
}

Placement placement_of(const PlaceBoxArgs& args) {
  Placement made{0, args.dims.elements() < Divider::kNarrow, {}};
  const Strides strides = broadcast_strides(args.count);
  for (int axis = 0; axis < kAxes; ++axis) {
    if (args.dims.at[axis] == 1) continue;
    made.axis[made.rank++] = {Divider(args.dims.at[axis]), Divider(args.step.at[axis]),
                              args.begin.at[axis], args.count.at[axis], strides.at[axis]};
  }
  return made;
}

}  // namespace

void copy_box(StreamRef stream, const CopyBoxArgs& args) {
  CopyBoxArgs box = args;
  while (merge(box)) {
  }
  while (widen(box)) {
  }
  const int64_t count = box.dims.elements();
  if (count == 0) return;
  const Strided from(box.dims, box.src_strides), to(box.dims, box.dst_strides);
  with_unit(box.element, [&](auto unit) {
    using Unit = decltype(unit);
    if (to.is_dense())
      return launch_gather<Unit>(stream, box.src, box.dst, Everywhere{from}, count);
    launch(stream, grid_of(count), scatter<Unit>, static_cast<const Unit*>(box.src),
           static_cast<Unit*>(box.dst), from, to, count);
  });
}

void copy(StreamRef stream, const void* src, void* dst, int64_t bytes) {
  const int64_t whole = bytes / 16 * 16;  // so that an odd end does not slow the rest down
  const auto part = [&](int64_t begin, int64_t size) {
    const auto* from = static_cast<const uint8_t*>(src) + begin;
    copy_box(stream, {from,
                      static_cast<uint8_t*>(dst) + begin,
                      1,
                      {{1, 1, 1, 1, size}},
                      {{0, 0, 0, 0, 1}},
                      {{0, 0, 0, 0, 1}}});
  };
  part(0, whole);
  part(whole, bytes - whole);
}

void place_box(StreamRef stream, const PlaceBoxArgs& args) {
  PlaceBoxArgs box = args;
  while (merge(box)) {
  }
  while (widen(box)) {
  }
  const int64_t count = box.dims.elements();
  if (count == 0) return;
  with_unit(box.element, [&](auto unit) {
    launch_gather<decltype(unit)>(stream, box.src, box.dst, placement_of(box), count);
  });
}

}  // namespace kd::kernels
