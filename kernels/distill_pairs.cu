// The fused loss's kernels for terms that need a row's statistics before its sums
// (distill_pairs.h), beside any others.
#include "kernels/distill_pairs.h"
#include "kernels/distill_rows.cuh"

namespace kd::kernels {
namespace {

// A row of both kinds of terms, held by kThreads threads. Each phase is a sweep of the row by
// `sweep(f)`, which calls f(k, s, t) with every element of this thread, and a join.
template <int kThreads>
struct PairRow {
  using Sums = DistillRow<float, kSumTerms>;
  Sums sums;
  PairTerms<float> pairs;

  template <class T>
  __device__ PairRow(const DistillProblem<T>& p, int64_t row)
      : sums(p.row_params(), p.constants, p.classes, p.row_labels(row)),
        pairs(p.row_params(), p.constants.terms, p.classes, p.row_labels(row),
              to_float(p.student[row * p.classes]), to_float(p.teacher[row * p.classes])) {}

  // Once every element has been surveyed: what values and gradient need.
  template <class Sweep>
  __device__ void finish(unsigned terms, Sweep sweep) {
    const auto join = [](auto& values) { group_reduce<kThreads>(values, Sum()); };
    pairs.each_maximum([](auto& values) { group_reduce<kThreads>(values, Max()); });
    pairs.each_index([](auto& values) { group_reduce<kThreads>(values, Min()); });
    pairs.each_spread(join);
    pairs.settle();
    sums.start(pairs.max_s(), pairs.max_t());
    const bool has_sums = (terms & kSumTerms) != 0;
    sweep([&](int k, float s, float t) {
      if (has_sums) sums.scan(k, s, t, sums.powers(s, t));
      pairs.scan(k, s, t);
    });
    if (has_sums) {
      add_up<kThreads>(sums);
      sums.finish();
    }
    pairs.each_sum(join);
    pairs.finish_sums();
    sweep([&](int k, float s, float t) { pairs.compare(k, s, t); });
    pairs.each_comparison(join);
    pairs.finish();
  }
  __device__ DistillRowValues<float> values() const {
    DistillRowValues<float> v = sums.values();
    pairs.add_values(v);
    return v;
  }
  __device__ float grad(int k, float s, float t) const {
    return sums.grad(k, s, t, sums.powers(s, t)) + pairs.grad(k, s, t);
  }
};

// kThreads neighbouring threads hold a row in registers: kTiles tiles each.
template <class T, int kThreads, int kTiles>
__global__ void __launch_bounds__(kGroupBlock, 2) pair_row_in_registers(DistillProblem<T> p) {
  constexpr int kTile = kVec<T>;
  const int thread = static_cast<int>(threadIdx.x) % kThreads;
  const int64_t asked = static_cast<int64_t>(blockIdx.x) * (kGroupBlock / kThreads) +
                        static_cast<int>(threadIdx.x) / kThreads;
  const int64_t row_index = asked < p.rows ? asked : p.rows - 1;  // all lanes take part
  const RowTiles<T> tiles(row_index, p.classes, p.aligned);
  const T nothing = from_float<T>(-INFINITY);
  Tile<T> s_tiles[kTiles], t_tiles[kTiles];
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
    const int k = tiles.first(i * kThreads + thread);
    s_tiles[i] = tiles.read(p.student, k, nothing);
    t_tiles[i] = tiles.read(p.teacher, k, nothing);
  }
  const auto sweep = [&](auto f) {
#pragma unroll
    for (int i = 0; i < kTiles * kTile; ++i) {
      const int k = tiles.first(i / kTile * kThreads + thread) + i % kTile;
      if (tiles.contains(k)) {
        f(k, to_float(s_tiles[i / kTile].at[i % kTile]),
          to_float(t_tiles[i / kTile].at[i % kTile]));
      }
    }
  };
  PairRow<kThreads> row(p, row_index);
  sweep([&](int k, float s, float t) { row.pairs.survey(k, s, t); });
  row.finish(p.constants.terms, sweep);
  if (asked >= p.rows) return;
  if (thread == 0) p.template keep<kSumTerms | kPairTerms>(row_index, row.values());
  const float scale = p.scale();
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
    const int k = tiles.first(i * kThreads + thread);
    Tile<T> gradient;
#pragma unroll
    for (int j = 0; j < kTile; ++j) {
      const float s = to_float(s_tiles[i].at[j]), t = to_float(t_tiles[i].at[j]);
      gradient.at[j] = from_float<T>(scale * row.grad(k + j, s, t));
    }
    tiles.write(p.dlogits, k, gradient);
  }
}

// A block sweeps the row in shared memory, or, where it is too long for that, in global memory.
template <class T, bool kShared>
__global__ void __launch_bounds__(kSweepBlock) pair_block_per_row(DistillProblem<T> p) {
  constexpr int kTile = kVec<T>;
  KD_DYNAMIC_SHARED(Tile<T>, kept);  // only the thread that wrote a tile reads it again
  const int64_t row_index = blockIdx.x;
  const RowTiles<T> tiles(row_index, p.classes, p.aligned);
  const int count = tiles.count(), thread = static_cast<int>(threadIdx.x);
  const T nothing = from_float<T>(-INFINITY);
  const auto each_tile = [&](bool in_shared, auto f) {
    for (int tile = thread; tile < count; tile += kSweepBlock) {
      const int k = tiles.first(tile);
      Tile<T> s, t;
      s = in_shared ? kept[tile] : tiles.read(p.student, k, nothing);
      t = in_shared ? kept[count + tile] : tiles.read(p.teacher, k, nothing);
      f(tile, k, s, t);
    }
  };
  PairRow<kSweepBlock> row(p, row_index);
  each_tile(false, [&](int tile, int k, const Tile<T>& s, const Tile<T>& t) {
    if constexpr (kShared) kept[tile] = s, kept[count + tile] = t;
#pragma unroll
    for (int i = 0; i < kTile; ++i) {
      if (tiles.contains(k + i)) row.pairs.survey(k + i, to_float(s.at[i]), to_float(t.at[i]));
    }
  });
  row.finish(p.constants.terms, [&](auto visit) {
    each_tile(kShared, [&](int, int k, const Tile<T>& s, const Tile<T>& t) {
#pragma unroll
      for (int i = 0; i < kTile; ++i) {
        if (tiles.contains(k + i)) visit(k + i, to_float(s.at[i]), to_float(t.at[i]));
      }
    });
  });
  if (thread == 0) p.template keep<kSumTerms | kPairTerms>(row_index, row.values());
  const float scale = p.scale();
  each_tile(kShared, [&](int, int k, const Tile<T>& s, const Tile<T>& t) {
    Tile<T> gradient;
#pragma unroll
    for (int i = 0; i < kTile; ++i) {
      const float s_k = to_float(s.at[i]), t_k = to_float(t.at[i]);
      gradient.at[i] = from_float<T>(scale * row.grad(k + i, s_k, t_k));
    }
    tiles.write(p.dlogits, k, gradient);
  });
}

}  // namespace

template <class T>
void launch_pair_rows(StreamRef stream, const DistillProblem<T>& p, DistillVariant variant) {
  const auto in_registers = [&](int threads, auto kernel) {
    launch(stream, {{divided_up(p.rows, kGroupBlock / threads)}, {kGroupBlock}}, kernel, p);
  };
  constexpr int kTiles = kGroupElements / kVec<T>;
  switch (variant) {
    case DistillVariant::eight_lanes_per_row:
      return in_registers(8, pair_row_in_registers<T, 8, kElements / kVec<T>>);
    case DistillVariant::warp_per_row:
      return in_registers(kWarp, pair_row_in_registers<T, kWarp, kTiles>);
    case DistillVariant::registers_of_block_per_row:
      return in_registers(kGroupBlock, pair_row_in_registers<T, kGroupBlock, kTiles>);
    case DistillVariant::shared_memory_of_block_per_row:
      return launch(stream, {{p.rows}, {kSweepBlock}, shared_bytes_of<T>(p.classes, true)},
                    pair_block_per_row<T, true>, p);
    case DistillVariant::two_sweeps_per_row:
      return launch(stream, {{p.rows}, {kSweepBlock}}, pair_block_per_row<T, false>, p);
  }
}

template void launch_pair_rows(StreamRef, const DistillProblem<float>&, DistillVariant);
template void launch_pair_rows(StreamRef, const DistillProblem<f16>&, DistillVariant);
template void launch_pair_rows(StreamRef, const DistillProblem<bf16>&, DistillVariant);

}  // namespace kd::kernels
