// What the kernels of the fused distillation loss share: their problem, and what a row of it is.
#pragma once

#include "kernels/distill_loss.h"
#include "kernels/kd_cuda.h"
#include "kernels/rows.cuh"

namespace kd::kernels {

constexpr int kGroupBlock = 128;  // threads of a block whose groups hold rows in registers
constexpr int kSweepBlock = 512;
constexpr int kElements = 8;  // of a thread at a time; kGroupElements where a group has no choice
constexpr int kGroupElements = 16;
constexpr int kDistillTerms = 11;

template <class T>
struct DistillProblem {
  int64_t rows, classes;
  const T *student, *teacher;
  T* dlogits;
  const int32_t *labels, *partner_labels;
  const float *shares, *term_weights, *loss_scale;
  float* values;  // (kDistillTerms, rows)
  bool aligned;
  DistillParameters<float> params;  // weights divided by `rows`
  DistillConstants<float> constants;

  __device__ DistillParameters<float> row_params() const {
    DistillParameters<float> weighted = params;
    if (term_weights != nullptr) {
      int n = 0;
      weighted.each_weight([&](float& weight) { weight *= term_weights[n++]; });
    }
    return weighted;
  }
  __device__ RowLabels<float> row_labels(int64_t row) const {
    if (labels == nullptr) return {};
    if (partner_labels == nullptr) return RowLabels<float>::of(labels[row]);
    return RowLabels<float>::of(labels[row], partner_labels[row], shares[row]);
  }
  __device__ float scale() const { return loss_scale != nullptr ? *loss_scale : 1; }
  // Those of kTerms.
  template <unsigned kTerms>
  __device__ void keep(int64_t row, const DistillRowValues<float>& row_values) const {
    int n = 0;
    row_values.each([&](float value) {
      if ((kTerms & constants.terms & 1u << n) != 0) values[n * rows + row] = value;
      ++n;
    });
  }
};

// Sums of the group's threads, all for the row's maxima, become the row's.
template <int kThreads, unsigned kTerms>
__device__ void add_up(DistillRow<float, kTerms>& row) {
  if constexpr ((kTerms & (kKl | kMse)) != 0) {
    auto early = row.early_sums();
    group_reduce<kThreads>(early.of, Sum());
    row.recentre(early);
  }
  float sums[DistillRow<float, kTerms>::kSums];
  int n = 0;
  row.each_sum([&](float& sum) { sums[n++] = sum; });
  group_reduce<kThreads>(sums, Sum());
  n = 0;
  row.each_sum([&](float& sum) { sum = sums[n++]; });
}

template <class T>
size_t shared_bytes_of(int64_t classes, bool has_teacher) {
  const auto tiles = static_cast<size_t>(divided_up(classes + kVec<T> - 1, kVec<T>));
  return tiles * sizeof(Tile<T>) * (has_teacher ? 2 : 1);
}

// The rows of a loss with terms of distill_pairs.h (distill_pairs.cu).
template <class T>
void launch_pair_rows(StreamRef stream, const DistillProblem<T>& problem, DistillVariant variant);

}  // namespace kd::kernels
