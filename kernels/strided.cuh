// From the flat index of an element to its place in a tensor with strides, without division
// instructions where indices have 31 bits.
#pragma once

#include "kernels/extents.h"
#include "kernels/numeric.cuh"

namespace kd::kernels {

// Division by a number fixed at launch: a multiplication and a shift (Granlund and Montgomery,
// PLDI 1994, with the round-up multiplier), exact for n < 2^31.
class Divider {
 public:
  Divider() = default;
  explicit Divider(int64_t divisor) : divisor_(divisor) {
    if (divisor < 1 || divisor >= kNarrow) return;  // only wide_quotient() is asked
    while ((int64_t{1} << shift_) < divisor) ++shift_;
    const uint64_t rest = (uint64_t{1} << shift_) - static_cast<uint64_t>(divisor);
    magic_ = static_cast<uint32_t>((rest << 32) / static_cast<uint64_t>(divisor) + 1);
  }
  static constexpr int64_t kNarrow = int64_t{1} << 31;

  // n / divisor; `narrow` says that n < 2^31, the same for all threads.
  __device__ int64_t quotient(int64_t n, bool narrow) const {
    if (!narrow) return n / divisor_;
    const auto low = static_cast<uint32_t>(n);
    return (__umulhi(low, magic_) + low) >> shift_;
  }
  KD_HOST_DEVICE int64_t divisor() const { return divisor_; }

 private:
  int64_t divisor_ = 1;
  uint32_t magic_ = 1;
  int shift_ = 0;
};

// The offsets of the elements of a box, row by row. Axes that lie one after the other in memory are
// merged.
class Strided {
 public:
  Strided() = default;
  Strided(const Extents& dims, const Strides& strides)
      : narrow_(dims.elements() < Divider::kNarrow) {
    for (int axis = 0; axis < kAxes; ++axis) {
      const int64_t size = dims.at[axis], stride = strides.at[axis];
      if (size == 1) continue;
      if (rank_ > 0 && stride_[rank_ - 1] == stride * size) {
        by_[rank_ - 1] = Divider(by_[rank_ - 1].divisor() * size);
        stride_[rank_ - 1] = stride;
      } else {
        by_[rank_] = Divider(size);
        stride_[rank_++] = stride;
      }
    }
  }

  bool is_dense() const { return rank_ == 0 || (rank_ == 1 && stride_[0] == 1); }
  bool is_constant() const { return rank_ == 0 || (rank_ == 1 && stride_[0] == 0); }
  // From now on indices count vectors of `count` neighbouring elements; false if rows do not divide
  // into such vectors that all begin at multiples of `count`.
  bool to_vectors(int count) {
    if (rank_ == 0 || stride_[rank_ - 1] != 1 || by_[rank_ - 1].divisor() % count != 0)
      return false;
    for (int axis = 0; axis < rank_ - 1; ++axis) {
      if (stride_[axis] % count != 0) return false;
    }
    by_[rank_ - 1] = Divider(by_[rank_ - 1].divisor() / count);
    stride_[rank_ - 1] = count;
    return true;
  }

  __device__ int64_t offset(int64_t index) const {
    int64_t offset = 0;
#pragma unroll
    for (int axis = kAxes - 1; axis > 0; --axis) {
      if (axis >= rank_) continue;
      const int64_t rest = by_[axis].quotient(index, narrow_);
      offset += (index - rest * by_[axis].divisor()) * stride_[axis];
      index = rest;
    }
    return offset + index * stride_[0];
  }

 private:
  int rank_ = 0;
  bool narrow_ = true;
  Divider by_[kAxes];
  int64_t stride_[kAxes] = {};
};

}  // namespace kd::kernels
