#include "kernels/contrast.h"
#include "kernels/philox.cuh"
#include "kernels/reduce.cuh"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kDots = 8;  // products of a warp
constexpr int kDotBlock = 128;
constexpr int kSumBlock = 512;    // threads of a block of the gradient
constexpr uint32_t kPurpose = 6;  // Purpose::negatives

// kCount elements of a vector; rows divide into such vectors.
template <int kCount>
__global__ void __launch_bounds__(kDotBlock) dots_of_warp(GatherArgs p) {
  const int64_t warp = (static_cast<int64_t>(blockIdx.x) * kDotBlock + threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int64_t first = warp * kDots, all = p.batch * p.each;
  if (first >= all) return;  // alike for the warp
  int64_t b = first / p.each, j = first - b * p.each;
  float own = 0;  // lane k keeps the product k
#pragma unroll 2
  for (int k = 0; k < kDots; ++k) {
    const int64_t row = first + k < all ? p.index[first + k] : 0;
    const bool valid = row >= 0 && row < p.rows && first + k < all;
    float sum = valid ? 0 : NAN;
    for (int64_t d = lane * kCount; valid && d < p.features; d += kWarp * kCount) {
      const auto x = load<kCount>(p.from + b * p.features + d);
      const auto in_bank = load<kCount>(p.bank + row * p.features + d);
#pragma unroll
      for (int i = 0; i < kCount; ++i) sum += x.at[i] * in_bank.at[i];
    }
    sum = warp_reduce(sum, Sum());
    if (lane == k) own = sum;
    if (++j == p.each) j = 0, ++b;
  }
  if (lane < kDots && first + lane < all) p.to[first + lane] = own;
}

// A block for kWarp vectors of one row of dx.
template <int kCount>
__global__ void __launch_bounds__(kSumBlock) sum_of_rows(GatherArgs p) {
  constexpr int kWarps = kSumBlock / kWarp, kWidth = kWarp * kCount;
  KD_SHARED(float, parts, kWarps* kWidth);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t tiles = divided_up(p.features, kWidth);
  const int64_t b = blockIdx.x / tiles, begin = (blockIdx.x - b * tiles) * kWidth;
  const int64_t d = begin + lane * kCount;
  float sum[kCount] = {};
  if (d < p.features) {
#pragma unroll 4
    for (int64_t j = warp; j < p.each; j += kWarps) {
      const int64_t row = p.index[b * p.each + j];
      const bool valid = row >= 0 && row < p.rows;
      const float weight = valid ? p.from[b * p.each + j] : NAN;
      const auto in_bank = load<kCount>(p.bank + (valid ? row : 0) * p.features + d);
#pragma unroll
      for (int i = 0; i < kCount; ++i) sum[i] += weight * in_bank.at[i];
    }
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) parts[warp * kWidth + lane * kCount + i] = sum[i];
  __syncthreads();
  const int at = static_cast<int>(threadIdx.x);
  if (at >= kWidth || begin + at >= p.features) return;
  float total = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) total += parts[w * kWidth + at];
  p.to[b * p.features + begin + at] = total;
}

__device__ bool is_negative(const NegativesArgs& p, int32_t own, uint32_t id) {
  if (own < 0 || own >= p.population) return true;
  return static_cast<uint32_t>(own) != id && (p.labels == nullptr || p.labels[own] != p.labels[id]);
}

__device__ uint32_t below(uint32_t word, int64_t population) {
  return __umulhi(word, static_cast<uint32_t>(population));
}

__device__ Words draw(const NegativesArgs& p, int64_t b, int64_t group, uint32_t attempt) {
  return random_words<kPurpose>(p.key, static_cast<uint64_t>(p.tensor_id << 32 | b),
                                static_cast<uint32_t>(group) * kNegativeDraws + attempt);
}

__global__ void draw_negatives(NegativesArgs p) {
  const int64_t groups = divided_up(p.count, 4);
  for (int64_t item = first_item(); item < p.batch * groups; item += item_step()) {
    const int64_t b = item / groups, group = item - b * groups;
    const int32_t own = p.own[b];
    int32_t* to = p.ids + b * (1 + p.count);
    if (group == 0) to[0] = own;
    const Words first = draw(p, b, group, 0);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (group * 4 + k >= p.count) continue;
      uint32_t id = below(first.at[k], p.population);
      for (uint32_t attempt = 1; attempt < kNegativeDraws && !is_negative(p, own, id); ++attempt) {
        id = below(draw(p, b, group, attempt).at[k], p.population);
      }
      to[1 + group * 4 + k] = static_cast<int32_t>(id);
    }
  }
}

__global__ void __launch_bounds__(kDotBlock) move_rows(BankUpdateArgs p) {
  const int64_t b = (static_cast<int64_t>(blockIdx.x) * kDotBlock + threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  if (b >= p.batch) return;  // alike for the warp
  const int32_t id = p.ids[b];
  int later = 0;
  for (int64_t i = b + 1 + lane; i < p.batch; i += kWarp) later |= p.ids[i] == id;
  if (__any_sync(kAllLanes, later) || id < 0 || id >= p.rows) return;
  float* row = p.bank + id * p.features;
  const float* values = p.values + b * p.features;
  const auto moved = [&](int64_t d) { return p.momentum * row[d] + (1 - p.momentum) * values[d]; };
  float squares = 0;
  for (int64_t d = lane; d < p.features; d += kWarp) squares += moved(d) * moved(d);
  squares = warp_reduce(squares, Sum());
  const float norm = sqrtf(squares);
  for (int64_t d = lane; d < p.features; d += kWarp) row[d] = norm == 0 ? 0 : moved(d) / norm;
}

bool in_vectors(const GatherArgs& a) {
  constexpr int kCount = kVec<float>;
  return is_aligned<kCount>(a.bank, a.features) && is_aligned<kCount>(a.from);
}

}  // namespace

void gather_dot(StreamRef stream, const GatherArgs& a) {
  const int64_t warps = divided_up(a.batch * a.each, kDots);
  if (warps == 0) return;
  launch(stream, {{divided_up(warps, kDotBlock / kWarp)}, {kDotBlock}},
         in_vectors(a) ? dots_of_warp<kVec<float>> : dots_of_warp<1>, a);
}

void gather_dot_backward(StreamRef stream, const GatherArgs& a) {
  const bool vectors = is_aligned<kVec<float>>(a.bank, a.features);
  const int64_t tiles = divided_up(a.features, kWarp * (vectors ? kVec<float> : 1));
  if (a.batch * tiles == 0) return;
  launch(stream, {{a.batch * tiles}, {kSumBlock}},
         vectors ? sum_of_rows<kVec<float>> : sum_of_rows<1>, a);
}

void sample_negatives(StreamRef stream, const NegativesArgs& a) {
  launch(stream, grid_for(a.batch * divided_up(a.count, 4)), draw_negatives, a);
}

void bank_update(StreamRef stream, const BankUpdateArgs& a) {
  if (a.batch == 0) return;
  launch(stream, {{divided_up(a.batch, kDotBlock / kWarp)}, {kDotBlock}}, move_rows, a);
}

}  // namespace kd::kernels
