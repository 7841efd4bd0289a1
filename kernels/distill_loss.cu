#include "kernels/distill_loss.h"
#include "kernels/kd_cuda.h"
#include "kernels/rows.cuh"

namespace kd::kernels {
namespace {

constexpr int kGroupBlock = 128;  // threads of a block whose groups hold rows in registers
constexpr int kSweepBlock = 512;
constexpr int kElements = 8;  // of a thread at a time
constexpr int kDistillTerms = 5;

template <class T>
struct Problem {
  int64_t rows, classes;
  const T *student, *teacher;
  T* dlogits;
  const int32_t* labels;
  const float* loss_scale;
  float* values;  // (5, rows)
  bool aligned;
  DistillParameters<float> params;  // weights divided by `rows`
  DistillDivisors<float> by;
};

template <class T, unsigned kTerms>
struct Kernel {
  using Row = DistillRow<float, kTerms>;
  static constexpr bool kTeacher = kTerms != kCe;

  __device__ static Row row_of(const Problem<T>& p, int64_t row) {
    return Row(p.params, p.by, p.classes, p.labels != nullptr ? p.labels[row] : -1);
  }
  __device__ static float scale_of(const Problem<T>& p) {
    return p.loss_scale != nullptr ? *p.loss_scale : 1;
  }
  // Sums of the group's threads, all for the row's maxima, become the row's.
  template <int kThreads>
  __device__ static void add_up(Row& row) {
    if constexpr ((kTerms & (kKl | kMse)) != 0) {
      auto early = row.early_sums();
      group_reduce<kThreads>(early.of, Sum());
      row.recentre(early);
    }
    float sums[Row::kSums];
    int n = 0;
    row.each_sum([&](float& sum) { sums[n++] = sum; });
    group_reduce<kThreads>(sums, Sum());
    n = 0;
    row.each_sum([&](float& sum) { sum = sums[n++]; });
  }
  __device__ static void keep(const Problem<T>& p, int64_t row, const DistillRowValues<float>& v) {
    float* at = p.values + row;
    at[0] = v.ce;
    if constexpr (kTeacher) at[p.rows] = v.kl;
    if constexpr (kTerms == kEveryTerm) {
      at[2 * p.rows] = v.mse;
      at[3 * p.rows] = v.lse_margin;
      at[4 * p.rows] = v.literal;
    }
  }
};

// kThreads neighbouring threads hold a row in registers: kTiles tiles each.
template <class T, unsigned kTerms, int kThreads, int kTiles>
__global__ void __launch_bounds__(kGroupBlock, 3) row_in_registers(Problem<T> p) {
  using K = Kernel<T, kTerms>;
  constexpr int kTile = kVec<T>, kCount = kTiles * kTile;
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
    if constexpr (K::kTeacher) t_tiles[i] = tiles.read(p.teacher, k, nothing);
  }
  typename K::Row row = K::row_of(p, row_index);
  float s[kCount], t[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    s[i] = to_float(s_tiles[i / kTile].at[i % kTile]);
    t[i] = K::kTeacher ? to_float(t_tiles[i / kTile].at[i % kTile]) : 0;
    row.maximum(s[i], t[i]);
  }
  float maxima[2] = {row.max_s(), row.max_t()};
  group_reduce<kThreads>(maxima, Max());
  row.start(maxima[0], maxima[1]);
  // The exponentials stay for the gradient, unless they are too many for the registers.
  constexpr bool kKeep = kTerms != kEveryTerm;
  typename K::Row::Powers powers[kKeep ? kCount : 1];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const int k = tiles.first(i / kTile * kThreads + thread) + i % kTile;
    auto& e = powers[kKeep ? i : 0];
    e = row.powers(s[i], t[i]);
    if (tiles.contains(k)) row.scan(k, s[i], t[i], e);
  }
  K::template add_up<kThreads>(row);
  row.finish();
  if (asked >= p.rows) return;
  if (thread == 0) K::keep(p, row_index, row.values());
  const float scale = K::scale_of(p);
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
    const int k = tiles.first(i * kThreads + thread);
    Tile<T> gradient;
#pragma unroll
    for (int j = 0; j < kTile; ++j) {
      const int at = i * kTile + j;
      const auto e = kKeep ? powers[kKeep ? at : 0] : row.powers(s[at], t[at]);
      gradient.at[j] = from_float<T>(scale * row.grad(k + j, s[at], t[at], e));
    }
    tiles.write(p.dlogits, k, gradient);
  }
}

// A block sweeps the row with running maxima, then again for the gradient: from shared memory, or,
// where the row is too long for that, from global memory.
template <class T, unsigned kTerms, bool kShared>
__global__ void __launch_bounds__(kSweepBlock) block_per_row(Problem<T> p) {
  using K = Kernel<T, kTerms>;
  constexpr int kTile = kVec<T>, kAtOnce = kElements / kTile;
  KD_DYNAMIC_SHARED(Tile<T>, kept);
  const int64_t row_index = blockIdx.x;
  const RowTiles<T> tiles(row_index, p.classes, p.aligned);
  const int count = tiles.count(), thread = static_cast<int>(threadIdx.x);
  const T nothing = from_float<T>(-INFINITY);
  typename K::Row row = K::row_of(p, row_index);
  for (int begin = thread; begin < count; begin += kAtOnce * kSweepBlock) {
    Tile<T> s_tiles[kAtOnce], t_tiles[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int tile = begin + i * kSweepBlock, k = tiles.first(tile);
      s_tiles[i] = tiles.read(p.student, k, nothing);
      if constexpr (K::kTeacher) t_tiles[i] = tiles.read(p.teacher, k, nothing);
      if (kShared && tile < count) {  // only this thread reads it again
        kept[tile] = s_tiles[i];
        if constexpr (K::kTeacher) kept[count + tile] = t_tiles[i];
      }
    }
    float s[kElements], t[kElements], max_s = row.max_s(), max_t = row.max_t();
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      s[i] = to_float(s_tiles[i / kTile].at[i % kTile]);
      t[i] = K::kTeacher ? to_float(t_tiles[i / kTile].at[i % kTile]) : 0;
      if (s[i] > max_s) max_s = s[i];
      if (t[i] > max_t) max_t = t[i];
    }
    row.raise(max_s, max_t);
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      const int k = tiles.first(begin + i / kTile * kSweepBlock) + i % kTile;
      if (tiles.contains(k)) row.scan(k, s[i], t[i], row.powers(s[i], t[i]));
    }
  }
  float maxima[2] = {row.max_s(), row.max_t()};
  group_reduce<kSweepBlock>(maxima, Max());
  row.raise(maxima[0], maxima[1]);
  K::template add_up<kSweepBlock>(row);
  row.finish();
  if (thread == 0) K::keep(p, row_index, row.values());
  const float scale = K::scale_of(p);
#pragma unroll kAtOnce
  for (int tile = thread; tile < count; tile += kSweepBlock) {
    const int k = tiles.first(tile);
    Tile<T> s, t, gradient;
    s = kShared ? kept[tile] : tiles.read(p.student, k, nothing);
    if constexpr (K::kTeacher) {
      t = kShared ? kept[count + tile] : tiles.read(p.teacher, k, nothing);
    }
#pragma unroll
    for (int i = 0; i < kTile; ++i) {
      const float s_k = to_float(s.at[i]), t_k = K::kTeacher ? to_float(t.at[i]) : 0;
      gradient.at[i] = from_float<T>(scale * row.grad(k + i, s_k, t_k, row.powers(s_k, t_k)));
    }
    tiles.write(p.dlogits, k, gradient);
  }
}

struct Weights {
  double of[kDistillTerms];
};

// One block: means of the rows' values, and their weighted sum.
__global__ void __launch_bounds__(kSweepBlock)
    add_rows(const float* values, int64_t rows, Weights weights, float* total, float* terms) {
  double weighted = 0;
  for (int term = 0; term < kDistillTerms; ++term) {
    double mean = 0;
    if (weights.of[term] != 0) {
      double sum = 0;
      for (int64_t row = threadIdx.x; row < rows; row += kSweepBlock) {
        sum += static_cast<double>(values[term * rows + row]);
      }
      mean = block_reduce<kSweepBlock>(sum, Sum()) / static_cast<double>(rows);
      weighted += weights.of[term] * mean;
    }
    if (threadIdx.x == 0) terms[term] = static_cast<float>(mean);
  }
  if (threadIdx.x == 0) *total = static_cast<float>(weighted);
}

template <class T>
size_t shared_bytes_of(int64_t classes, bool has_teacher) {
  const auto tiles = static_cast<size_t>(divided_up(classes + kVec<T> - 1, kVec<T>));
  return tiles * sizeof(Tile<T>) * (has_teacher ? 2 : 1);
}

constexpr int kWarpElements = 16, kBlockElements = 16;

template <class T>
DistillVariant pick(int64_t classes, bool has_teacher, size_t shared_bytes) {
  const auto fits = [&](int threads, int elements) {
    return classes <= elements_in<T>(threads * elements / kVec<T>, classes);
  };
  if (fits(8, kElements)) return DistillVariant::eight_lanes_per_row;
  if (fits(kWarp, kWarpElements)) return DistillVariant::warp_per_row;
  if (fits(kGroupBlock, kBlockElements)) return DistillVariant::registers_of_block_per_row;
  const bool kept = shared_bytes_of<T>(classes, has_teacher) <= shared_bytes;
  return kept ? DistillVariant::shared_memory_of_block_per_row : DistillVariant::two_sweeps_per_row;
}

template <class T, unsigned kTerms>
void launch_rows(StreamRef stream, const Problem<T>& p) {
  constexpr bool kTeacher = kTerms != kCe;
  const auto in_registers = [&](int threads, auto kernel) {
    launch(stream, {{divided_up(p.rows, kGroupBlock / threads)}, {kGroupBlock}}, kernel, p);
  };
  switch (pick<T>(p.classes, kTeacher, usable_shared_bytes())) {
    case DistillVariant::eight_lanes_per_row:
      return in_registers(8, row_in_registers<T, kTerms, 8, kElements / kVec<T>>);
    case DistillVariant::warp_per_row:
      return in_registers(kWarp, row_in_registers<T, kTerms, kWarp, kWarpElements / kVec<T>>);
    case DistillVariant::registers_of_block_per_row:
      return in_registers(kGroupBlock,
                          row_in_registers<T, kTerms, kGroupBlock, kBlockElements / kVec<T>>);
    case DistillVariant::shared_memory_of_block_per_row:
      return launch(stream, {{p.rows}, {kSweepBlock}, shared_bytes_of<T>(p.classes, kTeacher)},
                    block_per_row<T, kTerms, true>, p);
    case DistillVariant::two_sweeps_per_row:
      return launch(stream, {{p.rows}, {kSweepBlock}}, block_per_row<T, kTerms, false>, p);
  }
}

DistillParameters<float> in_float(const DistillParams& p, double scale) {
  const auto weight = [&](double of) { return static_cast<float>(of * scale); };
  DistillParameters<float> q;
  q.ce = weight(p.ce), q.kl = weight(p.kl), q.mse = weight(p.mse);
  q.lse_margin = weight(p.lse_margin), q.literal = weight(p.literal);
  q.smoothing = static_cast<float>(p.smoothing);
  q.temperature = static_cast<float>(p.temperature);
  q.mse_centred = p.mse_centred;
  q.margin = static_cast<float>(p.margin);
  q.margin_temperature = static_cast<float>(p.margin_temperature);
  q.margin_normalised = p.margin_normalised;
  q.literal_margin = static_cast<float>(p.literal_margin);
  q.literal_beta = static_cast<float>(p.literal_beta);
  return q;
}

template <class T>
void run(StreamRef stream, const DistillLossArgs& a) {
  const auto* student = static_cast<const T*>(a.student);
  const auto* teacher = static_cast<const T*>(a.teacher);
  auto* dlogits = static_cast<T*>(a.dlogits);
  constexpr int kCount = kVec<T>;
  const bool aligned =
      is_aligned<kCount>(student) && is_aligned<kCount>(teacher) && is_aligned<kCount>(dlogits);
  const DistillParams& w = a.params;
  const Problem<T> problem{a.rows,
                           a.classes,
                           student,
                           teacher,
                           dlogits,
                           a.labels,
                           a.loss_scale,
                           a.workspace,
                           aligned,
                           in_float(w, 1 / static_cast<double>(a.rows)),
                           DistillDivisors<float>::of(w)};
  if (w.mse != 0 || w.lse_margin != 0 || w.literal != 0) {
    launch_rows<T, kEveryTerm>(stream, problem);
  } else if (w.kl != 0) {
    launch_rows<T, kCe | kKl>(stream, problem);
  } else {
    launch_rows<T, kCe>(stream, problem);
  }
}

}  // namespace

DistillVariant pick_distill_variant(Type type, int64_t classes, bool has_teacher,
                                    size_t shared_bytes) {
  auto picked = DistillVariant::two_sweeps_per_row;
  with_float_type(
      type, [&](auto zero) { picked = pick<decltype(zero)>(classes, has_teacher, shared_bytes); });
  return picked;
}

size_t distill_loss_workspace(int64_t rows) {
  return static_cast<size_t>(rows) * kDistillTerms * sizeof(float);
}

void distill_loss(StreamRef stream, const DistillLossArgs& a) {
  with_float_type(a.type, [&](auto zero) { run<decltype(zero)>(stream, a); });
  const DistillParams& w = a.params;
  launch(stream, {{1}, {kSweepBlock}}, add_rows, a.workspace, a.rows,
         Weights{{w.ce, w.kl, w.mse, w.lse_margin, w.literal}}, a.total, a.terms);
}

}  // namespace kd::kernels
