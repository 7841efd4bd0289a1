#include "kernels/distill_loss.h"
#include "kernels/distill_rows.cuh"

namespace kd::kernels {
namespace {

// kThreads neighbouring threads hold a row in registers: kTiles tiles each.
template <class T, unsigned kTerms, int kThreads, int kTiles>
__global__ void __launch_bounds__(kGroupBlock, 3) row_in_registers(DistillProblem<T> p) {
  using Row = DistillRow<float, kTerms>;
  constexpr bool kTeacher = kTerms != kCe;
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
    if constexpr (kTeacher) t_tiles[i] = tiles.read(p.teacher, k, nothing);
  }
  Row row(p.row_params(), p.constants, p.classes, p.row_labels(row_index));
  float s[kCount], t[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    s[i] = to_float(s_tiles[i / kTile].at[i % kTile]);
    t[i] = kTeacher ? to_float(t_tiles[i / kTile].at[i % kTile]) : 0;
    row.maximum(s[i], t[i]);
  }
  float maxima[2] = {row.max_s(), row.max_t()};
  group_reduce<kThreads>(maxima, Max());
  row.start(maxima[0], maxima[1]);
  // The exponentials stay for the gradient, unless they are too many for the registers.
  constexpr bool kKeep = kTerms != kSumTerms;
  typename Row::Powers powers[kKeep ? kCount : 1];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const int k = tiles.first(i / kTile * kThreads + thread) + i % kTile;
    auto& e = powers[kKeep ? i : 0];
    e = row.powers(s[i], t[i]);
    if (tiles.contains(k)) row.scan(k, s[i], t[i], e);
  }
  add_up<kThreads>(row);
  row.finish();
  if (asked >= p.rows) return;
  if (thread == 0) p.template keep<kTerms>(row_index, row.values());
  const float scale = p.scale();
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
__global__ void __launch_bounds__(kSweepBlock) block_per_row(DistillProblem<T> p) {
  using Row = DistillRow<float, kTerms>;
  constexpr bool kTeacher = kTerms != kCe;
  constexpr int kTile = kVec<T>, kAtOnce = kElements / kTile;
  KD_DYNAMIC_SHARED(Tile<T>, kept);
  const int64_t row_index = blockIdx.x;
  const RowTiles<T> tiles(row_index, p.classes, p.aligned);
  const int count = tiles.count(), thread = static_cast<int>(threadIdx.x);
  const T nothing = from_float<T>(-INFINITY);
  Row row(p.row_params(), p.constants, p.classes, p.row_labels(row_index));
  for (int begin = thread; begin < count; begin += kAtOnce * kSweepBlock) {
    Tile<T> s_tiles[kAtOnce], t_tiles[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int tile = begin + i * kSweepBlock, k = tiles.first(tile);
      s_tiles[i] = tiles.read(p.student, k, nothing);
      if constexpr (kTeacher) t_tiles[i] = tiles.read(p.teacher, k, nothing);
      if (kShared && tile < count) {  // only this thread reads it again
        kept[tile] = s_tiles[i];
        if constexpr (kTeacher) kept[count + tile] = t_tiles[i];
      }
    }
    float s[kElements], t[kElements], max_s = row.max_s(), max_t = row.max_t();
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      s[i] = to_float(s_tiles[i / kTile].at[i % kTile]);
      t[i] = kTeacher ? to_float(t_tiles[i / kTile].at[i % kTile]) : 0;
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
  add_up<kSweepBlock>(row);
  row.finish();
  if (thread == 0) p.template keep<kTerms>(row_index, row.values());
  const float scale = p.scale();
#pragma unroll kAtOnce
  for (int tile = thread; tile < count; tile += kSweepBlock) {
    const int k = tiles.first(tile);
    Tile<T> s, t, gradient;
    s = kShared ? kept[tile] : tiles.read(p.student, k, nothing);
    if constexpr (kTeacher) {
      t = kShared ? kept[count + tile] : tiles.read(p.teacher, k, nothing);
    }
#pragma unroll
    for (int i = 0; i < kTile; ++i) {
      const float s_k = to_float(s.at[i]), t_k = kTeacher ? to_float(t.at[i]) : 0;
      gradient.at[i] = from_float<T>(scale * row.grad(k + i, s_k, t_k, row.powers(s_k, t_k)));
    }
    tiles.write(p.dlogits, k, gradient);
  }
}

struct RowSums {
  const float* values;  // (kDistillTerms, rows)
  int64_t rows;
  double weights[kDistillTerms];
  const float* term_weights;  // may be null
  float *total, *terms;
};

// One block: means of the rows' values, and their weighted sum.
__global__ void __launch_bounds__(kSweepBlock) add_rows(RowSums p) {
  double weighted = 0;
  for (int term = 0; term < kDistillTerms; ++term) {
    double mean = 0, weight = p.weights[term];
    if (weight != 0) {
      double sum = 0;
      for (int64_t row = threadIdx.x; row < p.rows; row += kSweepBlock) {
        sum += static_cast<double>(p.values[term * p.rows + row]);
      }
      mean = block_reduce<kSweepBlock>(sum, Sum()) / static_cast<double>(p.rows);
      if (p.term_weights != nullptr) weight *= static_cast<double>(p.term_weights[term]);
      if (weight != 0) weighted += weight * mean;
    }
    if (threadIdx.x == 0) p.terms[term] = static_cast<float>(mean);
  }
  if (threadIdx.x == 0) *p.total = static_cast<float>(weighted);
}

template <class T>
DistillVariant pick(int64_t classes, bool has_teacher, size_t shared_bytes) {
  const auto fits = [&](int threads, int elements) {
    return classes <= elements_in<T>(threads * elements / kVec<T>, classes);
  };
  if (fits(8, kElements)) return DistillVariant::eight_lanes_per_row;
  if (fits(kWarp, kGroupElements)) return DistillVariant::warp_per_row;
  if (fits(kGroupBlock, kGroupElements)) return DistillVariant::registers_of_block_per_row;
  const bool kept = shared_bytes_of<T>(classes, has_teacher) <= shared_bytes;
  return kept ? DistillVariant::shared_memory_of_block_per_row : DistillVariant::two_sweeps_per_row;
}

template <class T, unsigned kTerms>
void launch_rows(StreamRef stream, const DistillProblem<T>& p) {
  constexpr bool kTeacher = kTerms != kCe;
  const auto in_registers = [&](int threads, auto kernel) {
    launch(stream, {{divided_up(p.rows, kGroupBlock / threads)}, {kGroupBlock}}, kernel, p);
  };
  switch (pick<T>(p.classes, kTeacher, usable_shared_bytes())) {
    case DistillVariant::eight_lanes_per_row:
      return in_registers(8, row_in_registers<T, kTerms, 8, kElements / kVec<T>>);
    case DistillVariant::warp_per_row:
      return in_registers(kWarp, row_in_registers<T, kTerms, kWarp, kGroupElements / kVec<T>>);
    case DistillVariant::registers_of_block_per_row:
      return in_registers(kGroupBlock,
                          row_in_registers<T, kTerms, kGroupBlock, kGroupElements / kVec<T>>);
    case DistillVariant::shared_memory_of_block_per_row:
      return launch(stream, {{p.rows}, {kSweepBlock}, shared_bytes_of<T>(p.classes, kTeacher)},
                    block_per_row<T, kTerms, true>, p);
    case DistillVariant::two_sweeps_per_row:
      return launch(stream, {{p.rows}, {kSweepBlock}}, block_per_row<T, kTerms, false>, p);
  }
}

DistillParameters<float> in_float(DistillParams p, double scale) {
  const auto to = [](double x) { return static_cast<float>(x); };
  DistillParameters<float> q;
  float weights[kDistillTerms];
  int n = 0;
  p.each_weight([&](double weight) { weights[n++] = to(weight * scale); });
  n = 0;
  q.each_weight([&](float& weight) { weight = weights[n++]; });
  q.smoothing = to(p.smoothing), q.temperature = to(p.temperature), q.mse_centred = p.mse_centred;
  q.margin = to(p.margin), q.margin_temperature = to(p.margin_temperature);
  q.margin_normalised = p.margin_normalised;
  q.literal_margin = to(p.literal_margin), q.literal_beta = to(p.literal_beta);
  q.teacher_soft = p.teacher_soft;
  q.mix_label = to(p.mix_label), q.mix_teacher = to(p.mix_teacher);
  q.dkd_alpha = to(p.dkd_alpha), q.dkd_beta = to(p.dkd_beta);
  q.dkd_temperature = to(p.dkd_temperature), q.standard_temperature = to(p.standard_temperature);
  q.js_temperature = to(p.js_temperature), q.spherical_temperature = to(p.spherical_temperature);
  q.spherical_multiplier = to(p.spherical_multiplier);
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
  const DistillProblem<T> problem{a.rows,
                                  a.classes,
                                  student,
                                  teacher,
                                  dlogits,
                                  a.labels,
                                  a.partner_labels,
                                  a.shares,
                                  a.term_weights,
                                  a.loss_scale,
                                  a.workspace,
                                  aligned,
                                  in_float(a.params, 1 / static_cast<double>(a.rows)),
                                  DistillConstants<float>::of(a.params)};
  const unsigned terms = problem.constants.terms;
  if ((terms & kPairTerms) != 0) {
    launch_pair_rows(stream, problem, pick<T>(a.classes, true, usable_shared_bytes()));
  } else if ((terms & ~(kCe | kKl)) != 0) {
    launch_rows<T, kSumTerms>(stream, problem);
  } else if ((terms & kKl) != 0) {
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
  RowSums sums{a.workspace, a.rows, {}, a.term_weights, a.total, a.terms};
  int n = 0;
  DistillParams params = a.params;
  params.each_weight([&](double weight) { sums.weights[n++] = weight; });
  launch(stream, {{1}, {kSweepBlock}}, add_rows, sums);
}

}  // namespace kd::kernels
