// Where windows lie, and what they make of the values under them.
#pragma once

#include "kernels/channel_tile.cuh"
#include "kernels/pool.h"

namespace kd::kernels {

// Division of 0 <= n < 2^31 by a number that the host knows (Granlund and Montgomery, PLDI 1994).
struct FastDivide {
  unsigned divisor = 1, multiplier = 1, shift = 0;
  FastDivide() = default;
  explicit FastDivide(int by) : divisor(static_cast<unsigned>(by)) {
    while ((uint64_t{1} << shift) < divisor) ++shift;
    const uint64_t over = (uint64_t{1} << shift) - divisor;
    multiplier = static_cast<unsigned>((over << 32) / divisor + 1);
  }
  __device__ unsigned operator()(unsigned n) const {
    return (__umulhi(n, multiplier) + n) >> shift;
  }
};

struct Position {
  int64_t image;
  int row, column;
};
// Splits a row-major index into (images, rows, columns).
struct SplitPosition {
  FastDivide rows, columns;
  __device__ Position operator()(int64_t index) const {
    if (index > 0x7fffffff) {
      const int64_t line = index / columns.divisor;
      return {line / rows.divisor, static_cast<int>(line % rows.divisor),
              static_cast<int>(index % columns.divisor)};
    }
    const auto at = static_cast<unsigned>(index);
    const unsigned line = columns(at), image = rows(line);
    return {image, static_cast<int>(line - image * rows.divisor),
            static_cast<int>(at - line * columns.divisor)};
  }
};

// A shape with what its kernels divide by.
struct Pooling : PoolShape {
  SplitPosition split, split_pooled;
  FastDivide row_stride, column_stride, width;  // width: of the window
  explicit Pooling(const PoolShape& shape)
      : PoolShape(shape),
        split{FastDivide(rows.size), FastDivide(columns.size)},
        split_pooled{FastDivide(rows.pooled), FastDivide(columns.pooled)},
        row_stride(rows.stride),
        column_stride(columns.stride),
        width(columns.window) {}
};

// The window of one output, clipped to x.
struct Window {
  int start;       // may be negative
  int begin, end;  // inside x
  int full;        // places inside x and its padding
};
__device__ inline Window window_at(const PoolSide& side, int pooled) {
  const int start = pooled * side.stride - side.before;
  const int padded = side.size + side.after, whole = start + side.window;
  const int stop = whole < padded ? whole : padded;
  return {start, start < 0 ? 0 : start, stop < side.size ? stop : side.size, stop - start};
}

// The outputs whose windows cover row (column) `at` of x.
struct Covering {
  int first, last;
};
__device__ inline Covering covering(const PoolSide& side, const FastDivide& stride, int at) {
  const int padded = at + side.before, past = padded - side.window;
  const int first = past < 0 ? 0 : static_cast<int>(stride(static_cast<unsigned>(past))) + 1;
  const int last = static_cast<int>(stride(static_cast<unsigned>(padded)));
  return {first, last < side.pooled ? last : side.pooled - 1};
}

// 1 / what an average of this window divides by.
__device__ inline float share_of(const Window& rows, const Window& columns, bool count_pad) {
  const int places = count_pad ? rows.full * columns.full
                               : (rows.end - rows.begin) * (columns.end - columns.begin);
  return 1.0f / static_cast<float>(places);
}

// x of one group of channels at (image, row, column).
template <class T>
__device__ const T* place_in(const T* column, const PoolShape& shape, int64_t image, int row,
                             int at) {
  return column + ((image * shape.rows.size + row) * shape.columns.size + at) * shape.channels;
}

template <int kCount>
struct Best {
  Floats<kCount> value;
  Vec<uint8_t, kCount> place;
};
// The maxima of map(x) over the window of output `at`; x points to the group's channels.
template <int kCount, class T, class Map>
__device__ Best<kCount> window_maximum(const PoolShape& shape, const T* x, const Position& at,
                                       const Map& map) {
  const Window rows = window_at(shape.rows, at.row);
  const Window columns = window_at(shape.columns, at.column);
  Best<kCount> best{};
  bool first = true;
  for (int row = rows.begin; row < rows.end; ++row) {
    for (int column = columns.begin; column < columns.end; ++column) {
      const Floats<kCount> value =
          map(to_floats(load<kCount>(place_in(x, shape, at.image, row, column))));
      const auto place = static_cast<uint8_t>((row - rows.start) * shape.columns.window +
                                              (column - columns.start));
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const float v = value.at[i];
        const bool wins = first || v > best.value.at[i] || v != v;
        best.value.at[i] = wins ? v : best.value.at[i];
        best.place.at[i] = wins ? place : best.place.at[i];
      }
      first = false;
    }
  }
  return best;
}

// Sums dy of the windows that chose position `at` of x: through(pooled offset, i) is dy there.
// `pooled` is the offset of the group's channels.
template <int kCount, class Through>
__device__ Floats<kCount> sum_of_choosers(const Pooling& shape, const Position& at,
                                          const uint8_t* __restrict__ index, int64_t pooled,
                                          const Through& through) {
  const Covering rows = covering(shape.rows, shape.row_stride, at.row);
  const Covering columns = covering(shape.columns, shape.column_stride, at.column);
  Floats<kCount> sum{};
  for (int row = rows.first; row <= rows.last; ++row) {
    const int place_row = at.row - (row * shape.rows.stride - shape.rows.before);
    for (int column = columns.first; column <= columns.last; ++column) {
      const int place_column = at.column - (column * shape.columns.stride - shape.columns.before);
      const int place = place_row * shape.columns.window + place_column;
      const int64_t offset =
          ((at.image * shape.rows.pooled + row) * shape.columns.pooled + column) * shape.channels +
          pooled;
      const Vec<uint8_t, kCount> chosen = load<kCount>(index + offset);
      const Floats<kCount> d = through(offset);
#pragma unroll
      for (int i = 0; i < kCount; ++i) sum.at[i] += chosen.at[i] == place ? d.at[i] : 0.0f;
    }
  }
  return sum;
}

inline int64_t pooled_positions(const PoolShape& s) {
  return s.images * s.rows.pooled * s.columns.pooled;
}
inline int64_t positions(const PoolShape& s) { return s.images * s.rows.size * s.columns.size; }

// A thread walks windows, many loads each: one position a thread until the grid is large.
template <int kCount>
Grid window_grid(int64_t count, int64_t channels) {
  return tile_grid(count, channels / kCount, 1, 16 * kTileBlocks);
}

// Calls body with the number of channels a thread takes, as a constant.
template <class Body>
void with_group(bool groups, const Body& body) {
  groups ? body.template operator()<kGroup>() : body.template operator()<1>();
}

}  // namespace kd::kernels
