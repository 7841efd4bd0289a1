#include "kernels/reduce.cuh"
#include "kernels/strided.cuh"
#include "kernels/sums.h"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;
constexpr int64_t kMostBlocks = 4096;       // they loop over the rest
constexpr int64_t kEnoughBlocks = 512;      // to fill a large GPU about once
constexpr int64_t kShortRow = 512;          // a warp is enough
constexpr int64_t kLeastOfRow = 8192;       // elements of a chunk of a row
constexpr int64_t kLeastRows = 64;          // rows of a chunk
constexpr int kColumns = 32 * kVec<float>;  // of a block's chunk, at least

enum class Pattern : uint8_t { columns, long_rows, others };

// x as (outer, length, inner); the middle is summed, in chunks of `chunk`.
struct Plan {
  Pattern pattern = Pattern::others;
  int64_t outer = 1, length = 1, inner = 1;
  int64_t chunks = 1, chunk = 1;
};

void split(Plan& plan, int64_t blocks, int64_t least) {
  const int64_t wanted = divided_up(kEnoughBlocks, blocks), most = divided_up(plan.length, least);
  plan.chunks = wanted < most ? wanted : most;
  const int64_t even = divided_up(plan.length, plan.chunks);
  plan.chunk = divided_up(even, 8) * 8;  // whole vectors
  plan.chunks = divided_up(plan.length, plan.chunk);
}

Plan plan_of(const Extents& dims_x, const Extents& dims_y) {
  Plan plan;
  int at = 0;  // 0: in the kept axes before, 1: in the summed ones, 2: in those after
  for (int axis = 0; axis < kAxes; ++axis) {
    const int64_t size = dims_x.at[axis];
    if (size == 1) continue;
    const bool summed = dims_y.at[axis] == 1;
    if (summed && at == 2) return {};
    if (summed) at = 1;
    if (!summed && at == 1) at = 2;
    (at == 0 ? plan.outer : at == 1 ? plan.length : plan.inner) *= size;
  }
  if (plan.inner > 1) {
    plan.pattern = Pattern::columns;
    split(plan, plan.outer * divided_up(plan.inner, kColumns), kLeastRows);
  } else if (plan.length > kShortRow) {
    plan.pattern = Pattern::long_rows;
    split(plan, plan.outer, kLeastOfRow);
  }
  return plan;
}

// The result of a launch: y itself, or f32 partial sums.
struct Sink {
  Type type;
  void* to;

  __device__ void put(int64_t i, float value) const {
    if (type == Type::f32) {
      static_cast<float*>(to)[i] = value;
    } else if (type == Type::f16) {
      static_cast<f16*>(to)[i] = from_float<f16>(value);
    } else {
      static_cast<bf16*>(to)[i] = from_float<bf16>(value);
    }
  }
};

template <int kCount, class T>
__device__ void add_to(float (&sums)[kCount], const Vec<T, kCount>& values) {
#pragma unroll
  for (int k = 0; k < kCount; ++k) sums[k] += to_float(values.at[k]);
}

// `rows` vectors that lie `stride` elements apart.
template <int kCount, class T>
__device__ void add_rows(float (&sums)[kCount], const T* from, int64_t rows, int64_t stride) {
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4, from += 4 * stride) {
    const auto a = load<kCount>(from), b = load<kCount>(from + stride);
    const auto c = load<kCount>(from + 2 * stride), d = load<kCount>(from + 3 * stride);
    add_to(sums, a), add_to(sums, b), add_to(sums, c), add_to(sums, d);
  }
  for (; row < rows; ++row, from += stride) add_to(sums, load<kCount>(from));
}

// A block takes `lanes` neighbouring vectors of columns of a chunk, and its rows in threads / lanes
// interleaved shares, which are then added in order. Blocks loop over parts: outer, chunk, columns.
template <int kCount, class T>
__global__ void __launch_bounds__(kThreads)
    sum_columns(const T* __restrict__ x, const Sink sink, const Plan plan, int lanes,
                int64_t column_blocks) {
  KD_SHARED(float, shares, kThreads* kCount);
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int share = static_cast<int>(threadIdx.x) / lanes, step = kThreads / lanes;
  const int64_t parts = plan.outer * plan.chunks * column_blocks;
  for (int64_t part = blockIdx.x; part < parts; part += gridDim.x) {
    const int64_t row_of_y = part / column_blocks;  // outer * chunks + chunk
    const int64_t first_column = (part - row_of_y * column_blocks) * lanes * kCount;
    const int64_t outer = row_of_y / plan.chunks, chunk = row_of_y - outer * plan.chunks;
    const int64_t begin = chunk * plan.chunk, column = first_column + lane * kCount;
    const int64_t end = begin + plan.chunk < plan.length ? begin + plan.chunk : plan.length;
    float sums[kCount] = {};
    if (column < plan.inner) {
      const T* from = x + (outer * plan.length + begin + share) * plan.inner + column;
      add_rows(sums, from, divided_up(end - begin - share, step), step * plan.inner);
    }
#pragma unroll
    for (int k = 0; k < kCount; ++k) shares[k * kThreads + threadIdx.x] = sums[k];
    __syncthreads();
    for (int at = static_cast<int>(threadIdx.x); at < lanes * kCount; at += kThreads) {
      if (first_column + at >= plan.inner) continue;
      float total = 0;
      for (int s = 0; s < step; ++s) {
        total += shares[at % kCount * kThreads + s * lanes + at / kCount];
      }
      sink.put(row_of_y * plan.inner + first_column + at, total);
    }
    __syncthreads();  // shares may be written again
  }
}

// A block a chunk of a row.
template <int kCount, class T>
__global__ void __launch_bounds__(kThreads)
    sum_long_rows(const T* __restrict__ x, const Sink sink, const Plan plan) {
  for (int64_t part = blockIdx.x; part < plan.outer * plan.chunks; part += gridDim.x) {
    const int64_t outer = part / plan.chunks, begin = (part - outer * plan.chunks) * plan.chunk;
    const int64_t end = begin + plan.chunk < plan.length ? begin + plan.chunk : plan.length;
    const T* from = x + outer * plan.length + begin;
    const int64_t vectors = (end - begin) / kCount;
    float sums[kCount] = {};
    const int64_t mine = divided_up(vectors - threadIdx.x, kThreads);
    add_rows(sums, from + threadIdx.x * kCount, mine, kThreads * kCount);
    float total = 0;
#pragma unroll
    for (int k = 0; k < kCount; ++k) total += sums[k];
    const int64_t rest = vectors * kCount + threadIdx.x;
    if (rest < end - begin) total += to_float(from[rest]);
    total = block_reduce<kThreads>(total, Sum());
    if (threadIdx.x == 0) sink.put(part, total);
  }
}

// A warp an output: `kept` and `summed` give the offsets of what it adds.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_others(const T* __restrict__ x, const Sink sink, const Strided kept, const Strided summed,
               int64_t outputs, int64_t length) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  for (int64_t out = first; out < outputs; out += static_cast<int64_t>(gridDim.x) * kWarps) {
    const T* from = x + kept.offset(out);
    float total = 0;
    for (int64_t i = lane; i < length; i += kWarp) total += to_float(from[summed.offset(i)]);
    total = warp_reduce(total, Sum());
    if (lane == 0) sink.put(out, total);
  }
}

Dim blocks_for(int64_t parts, int parts_of_block) {
  return grid_for(parts, parts_of_block, kMostBlocks).blocks;
}

template <int kCount, class T>
void launch_columns(StreamRef stream, const T* x, const Sink& sink, const Plan& plan) {
  const int64_t vectors = divided_up(plan.inner, kCount);
  int lanes = 1;
  while (lanes < kWarp && lanes < vectors) lanes *= 2;
  const int64_t column_blocks = divided_up(vectors, lanes);
  launch(stream, {blocks_for(plan.outer * plan.chunks * column_blocks, 1), {kThreads}},
         sum_columns<kCount, T>, x, sink, plan, lanes, column_blocks);
}

template <class T>
void sum_planned(StreamRef stream, const T* x, const Sink& sink, const Plan& plan) {
  constexpr int kCount = kVec<T>;
  if (plan.pattern == Pattern::columns) {
    return is_aligned<kCount>(x, plan.inner) ? launch_columns<kCount>(stream, x, sink, plan)
                                             : launch_columns<1>(stream, x, sink, plan);
  }
  const bool vectors = is_aligned<kCount>(x, plan.outer == 1 ? 0 : plan.length);
  launch(stream, {blocks_for(plan.outer * plan.chunks, 1), {kThreads}},
         vectors ? sum_long_rows<kCount, T> : sum_long_rows<1, T>, x, sink, plan);
}

template <class T>
void sum_other(StreamRef stream, const SumArgs& args, const Sink& sink) {
  const Strides strides = broadcast_strides(args.dims_x);
  Extents summed;
  for (int axis = 0; axis < kAxes; ++axis) {
    if (args.dims_y.at[axis] == 1) summed.at[axis] = args.dims_x.at[axis];
  }
  const int64_t outputs = args.dims_y.elements();
  launch(stream, {blocks_for(outputs, kWarps), {kThreads}}, sum_others<T>,
         static_cast<const T*>(args.x), sink, Strided(args.dims_y, strides),
         Strided(summed, strides), outputs, summed.elements());
}

// Of the partial sums: the same pattern, in one chunk.
Plan second(Plan plan) {
  plan.length = plan.chunk = plan.chunks;
  plan.chunks = 1;
  return plan;
}

}  // namespace

size_t sum_workspace(const Extents& dims_x, const Extents& dims_y) {
  const Plan plan = plan_of(dims_x, dims_y);
  if (plan.chunks == 1) return 0;
  return static_cast<size_t>(plan.outer * plan.chunks * plan.inner) * sizeof(float);
}

void sum_to(StreamRef stream, const SumArgs& args) {
  const Plan plan = plan_of(args.dims_x, args.dims_y);
  const Sink y{args.type, args.y};
  with_float_type(args.type, [&](auto of) {
    using T = decltype(of);
    if (plan.pattern == Pattern::others) return sum_other<T>(stream, args, y);
    const auto* x = static_cast<const T*>(args.x);
    if (plan.chunks == 1) return sum_planned(stream, x, y, plan);
    auto* partial = static_cast<float*>(args.workspace);
    sum_planned(stream, x, Sink{Type::f32, partial}, plan);
    sum_planned(stream, static_cast<const float*>(partial), y, second(plan));
  });
}

}  // namespace kd::kernels
