#include "kernels/kd_cuda.h"
#include "kernels/rows.cuh"
#include "kernels/rows.h"

namespace kd::kernels {
namespace {

constexpr int kWarpBlock = 128;  // threads of a block of warps, each with its row
constexpr int kRowBlock = 512;   // threads of a block with one row
constexpr int64_t kMostOfWarp = 1024;

// The row of a group of kThreads threads, and the thread's place in it. Groups beyond the last row
// repeat that one, so that all take part in reductions; they write the same values.
template <int kThreads>
struct Place {
  int64_t row;
  int thread;
  __device__ explicit Place(int64_t rows)
      : row(static_cast<int64_t>(blockIdx.x) * (blockDim.x / kThreads) + threadIdx.x / kThreads),
        thread(static_cast<int>(threadIdx.x % kThreads)) {
    if (row >= rows) row = rows - 1;
  }
};

template <class T>
struct Rows {
  int64_t rows, classes;
  bool aligned;
  Divisor<float> temperature;
  const T *a, *b;  // x; or dy and y
  T* to;
};

template <class T, int kThreads, bool kLogarithm>
__global__ void __launch_bounds__(kRowBlock) softmax_row(Rows<T> p) {
  const Place<kThreads> place(p.rows);
  const RowTiles<T> tiles(place.row, p.classes, p.aligned);
  const T nothing = from_float<T>(-INFINITY);
  float maximum[1] = {-FLT_MAX};
  ExponentialSum<float> sum;
  const auto raise = [&](float to) {
    sum.raise(exponential(p.temperature.divide(maximum[0] - to)));
    maximum[0] = to;
  };
  for (int tile = place.thread; tile < tiles.count(); tile += kThreads) {
    const Tile<T> x = tiles.read(p.a, tiles.first(tile), nothing);
    float greatest = maximum[0];
#pragma unroll
    for (const T x_k : x.at) greatest = to_float(x_k) > greatest ? to_float(x_k) : greatest;
    if (greatest != maximum[0]) raise(greatest);
#pragma unroll
    for (const T x_k : x.at) {  // what is outside the row adds e^-inf
      const float off = to_float(x_k) - maximum[0];
      sum.add(off, exponential(p.temperature.divide(off)));
    }
  }
  float own[1] = {maximum[0]};
  group_reduce<kThreads>(own, Max());
  if (own[0] != maximum[0]) raise(own[0]);
  float sums[2] = {sum.tops, sum.rest};
  group_reduce<kThreads>(sums, Sum());
  sum.tops = sums[0], sum.rest = sums[1];
  const float log_sum = sum.log();
  const auto by = Denominator<float>::of(sum.total());
  for (int tile = place.thread; tile < tiles.count(); tile += kThreads) {
    Tile<T> x = tiles.read(p.a, tiles.first(tile), nothing);
#pragma unroll
    for (T& x_k : x.at) {
      const float z = p.temperature.divide(to_float(x_k) - maximum[0]);
      x_k = from_float<T>(kLogarithm ? z - log_sum : by.divide(exponential(z)));
    }
    tiles.write(p.to, tiles.first(tile), x);
  }
}

template <class T, int kThreads, bool kLogarithm>
__global__ void __launch_bounds__(kRowBlock) softmax_row_backward(Rows<T> p) {
  const Place<kThreads> place(p.rows);
  const RowTiles<T> tiles(place.row, p.classes, p.aligned);
  const T zero = from_float<T>(0);
  float sum[1] = {0};
  for (int tile = place.thread; tile < tiles.count(); tile += kThreads) {
    const Tile<T> dy = tiles.read(p.a, tiles.first(tile), zero);
    Tile<T> y;
    if constexpr (!kLogarithm) y = tiles.read(p.b, tiles.first(tile), zero);
#pragma unroll
    for (int i = 0; i < tiles.kElements; ++i) {
      sum[0] += kLogarithm ? to_float(dy.at[i]) : to_float(dy.at[i]) * to_float(y.at[i]);
    }
  }
  group_reduce<kThreads>(sum, Sum());
  for (int tile = place.thread; tile < tiles.count(); tile += kThreads) {
    const int k = tiles.first(tile);
    Tile<T> dy = tiles.read(p.a, k, zero);
    const Tile<T> y = tiles.read(p.b, k, zero);
#pragma unroll
    for (int i = 0; i < tiles.kElements; ++i) {
      const float y_k = to_float(y.at[i]), dy_k = to_float(dy.at[i]);
      const float off = kLogarithm ? dy_k - exponential(y_k) * sum[0] : y_k * (dy_k - sum[0]);
      dy.at[i] = from_float<T>(p.temperature.divide(off));
    }
    tiles.write(p.to, k, dy);
  }
}

// One thread an element, in a loop.
__global__ void one_hot_elements(OneHotArgs p, float on, float off) {
  for (int64_t i = first_item(); i < p.rows * p.classes; i += item_step()) {
    const int64_t row = i / p.classes;
    const int32_t label = p.labels[row];
    const bool valid = label >= 0 && label < p.classes;
    const float otherwise = label == -1 ? 0 : NAN;
    p.y[i] = !valid ? otherwise : i - row * p.classes == label ? on : off;
  }
}

// Orders as (value, then earlier place) does; above 0 for all values above -inf.
__device__ inline uint64_t rank_of(float value, int place) {
  const auto bits = static_cast<uint32_t>(__float_as_int(value + 0.0f));  // -0 is 0
  const uint32_t ordered = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(ordered) << 32 | (0xffffffffu - static_cast<uint32_t>(place));
}

// A warp a row.
template <class T>
__global__ void __launch_bounds__(kWarpBlock) first_largest(Rows<T> p, int32_t* largest) {
  const Place<kWarp> place(p.rows);
  const RowTiles<T> tiles(place.row, p.classes, p.aligned);
  const T nothing = from_float<T>(-INFINITY);
  uint64_t best = 0;
  for (int tile = place.thread; tile < tiles.count(); tile += kWarp) {
    const int k = tiles.first(tile);
    const Tile<T> x = tiles.read(p.a, k, nothing);
#pragma unroll
    for (int i = 0; i < tiles.kElements; ++i) {
      const float value = to_float(x.at[i]);
      const uint64_t rank = value > -INFINITY ? rank_of(value, k + i) : 0;
      best = rank > best ? rank : best;
    }
  }
  best = warp_reduce(best, Max());
  if (place.thread == 0) {
    largest[place.row] =
        best == 0 ? 0 : static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(best));
  }
}

__global__ void set_zero(int32_t* to) { *to = 0; }

// A block of warps: each counts what is not below its row's label; one atomic a block.
template <class T>
__global__ void __launch_bounds__(kWarpBlock)
    count_correct(Rows<T> p, const int32_t* labels, int most, int32_t* correct) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * (kWarpBlock / kWarp) + threadIdx.x / kWarp;
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int32_t label = row < p.rows ? labels[row] : -1;
  int hit = 0;
  if (label >= 0 && label < p.classes) {  // alike for the warp
    const RowTiles<T> tiles(row, p.classes, p.aligned);
    const float own = to_float(p.a[tiles.start + label]);
    int beats = 0;  // itself among them; NaN is not below, and must not count as right
    for (int tile = lane; tile < tiles.count(); tile += kWarp) {
      const int k = tiles.first(tile);
      const Tile<T> x = tiles.read(p.a, k, T{});
#pragma unroll
      for (int i = 0; i < tiles.kElements; ++i) {
        beats += tiles.contains(k + i) && !(to_float(x.at[i]) < own);
      }
    }
    beats = warp_reduce(beats, Sum());
    hit = lane == 0 && beats <= most;
  }
  const int hits = block_reduce<kWarpBlock>(hit, Sum());
  if (threadIdx.x == 0 && hits != 0) atomicAdd(correct, hits);
}

// `of_warp` for short rows, `of_block` for long ones.
template <class T>
void launch_rows(StreamRef stream, const Rows<T>& p, void (*of_warp)(Rows<T>),
                 void (*of_block)(Rows<T>)) {
  if (p.classes <= kMostOfWarp) {
    launch(stream, {{divided_up(p.rows, kWarpBlock / kWarp)}, {kWarpBlock}}, of_warp, p);
  } else {
    launch(stream, {{p.rows}, {kRowBlock}}, of_block, p);
  }
}

template <class T>
Rows<T> rows_of(const SoftmaxArgs& s, const void* a, const void* b, void* to) {
  const auto *from_a = static_cast<const T*>(a), *from_b = static_cast<const T*>(b);
  auto* into = static_cast<T*>(to);
  constexpr int kCount = kVec<T>;
  const bool aligned =
      is_aligned<kCount>(from_a) && is_aligned<kCount>(from_b) && is_aligned<kCount>(into);
  return {s.rows, s.classes, aligned, Divisor<float>::of(s.temperature), from_a, from_b, into};
}

}  // namespace

void softmax(StreamRef stream, const SoftmaxArgs& a) {
  with_float_type(a.type, [&](auto zero) {
    using T = decltype(zero);
    const Rows<T> p = rows_of<T>(a, a.x, nullptr, a.y);
    if (a.logarithm) {
      launch_rows(stream, p, softmax_row<T, kWarp, true>, softmax_row<T, kRowBlock, true>);
    } else {
      launch_rows(stream, p, softmax_row<T, kWarp, false>, softmax_row<T, kRowBlock, false>);
    }
  });
}

void softmax_backward(StreamRef stream, const SoftmaxArgs& a) {
  with_float_type(a.type, [&](auto zero) {
    using T = decltype(zero);
    const Rows<T> p = rows_of<T>(a, a.dy, a.saved_y, a.dx);
    if (a.logarithm) {
      launch_rows(stream, p, softmax_row_backward<T, kWarp, true>,
                  softmax_row_backward<T, kRowBlock, true>);
    } else {
      launch_rows(stream, p, softmax_row_backward<T, kWarp, false>,
                  softmax_row_backward<T, kRowBlock, false>);
    }
  });
}

void one_hot(StreamRef stream, const OneHotArgs& a) {
  const double share = a.smoothing / static_cast<double>(a.classes);
  launch(stream, grid_for(a.rows * a.classes), one_hot_elements, a,
         static_cast<float>(1 - a.smoothing + share), static_cast<float>(share));
}

void arg_max(StreamRef stream, const ArgMaxArgs& a) {
  with_float_type(a.type, [&](auto zero) {
    using T = decltype(zero);
    SoftmaxArgs rows;
    rows.rows = a.rows, rows.classes = a.classes;
    launch(stream, {{divided_up(a.rows, kWarpBlock / kWarp)}, {kWarpBlock}}, first_largest<T>,
           rows_of<T>(rows, a.x, nullptr, nullptr), a.largest);
  });
}

void top_k_correct(StreamRef stream, const TopKArgs& a) {
  launch(stream, {{1}, {1}}, set_zero, a.correct);
  with_float_type(a.type, [&](auto zero) {
    using T = decltype(zero);
    SoftmaxArgs rows;
    rows.rows = a.rows, rows.classes = a.classes;
    launch(stream, {{divided_up(a.rows, kWarpBlock / kWarp)}, {kWarpBlock}}, count_correct<T>,
           rows_of<T>(rows, a.logits, nullptr, nullptr), a.labels, a.k, a.correct);
  });
}

}  // namespace kd::kernels
