// The fused distillation loss: every term's batch mean, their weighted sum, and its gradient, from
// one read of both logits.
//
// Formulas: distill_terms.h, distill_pairs.h. total = sum_t weight_t mean_i value_t,i; dlogits =
// loss_scale d total / d student. Rows are contiguous, (rows, classes). Bytes: student and teacher
// read once, dlogits written once, 20 bytes a row; beyond what a block keeps on chip both are read
// twice. FLOPs: about 140 an element for ce + kl, three exponentials of them. Mapping
// (pick_distill_variant): groups of 8 lanes, a warp, or 128 threads hold a row in registers, 8 to
// 16 elements a thread; longer rows are swept by a block of 512 that keeps them in shared memory,
// the longest are read again for the gradient. Running maxima; 16-byte access. With terms of
// distill_pairs.h the same groups hold the row, and sweep what is on chip (or the longest rows'
// memory) four times: those terms need the row's statistics before its sums. Batches of a few
// hundred rows leave most of a device idle at a warp a row, so blocks begin at 513 classes. Values
// of the rows go to the workspace and a second launch of one block adds them in a fixed order: the
// same input gives the same bits. -inf logits have probability 0 and add nothing; NaN makes the
// row's values and gradient NaN; a label of -1 adds nothing to ce, hard_mix and dkd; another
// outside [0, classes) makes them NaN; neither is read.
#pragma once

#include <cstddef>

#include "kernels/distill_terms.h"

namespace kd::kernels {

struct DistillLossArgs {
  Type type = Type::f32;  // of student, teacher, dlogits
  int64_t rows = 0, classes = 0;
  const void* student = nullptr;
  const void* teacher = nullptr;            // null where no term needs it
  const int32_t* labels = nullptr;          // (rows), null likewise; -1: the row has none
  const int32_t* partner_labels = nullptr;  // (rows), of mixed pictures, with `shares`; or null
  const float* shares = nullptr;            // (rows), of `labels`
  const float* term_weights = nullptr;      // (11), multiply the terms' own weights; null: 1
  const float* loss_scale = nullptr;        // (1), multiplies dlogits only; null: 1
  DistillParams params;                     // the terms' own weights
  void* dlogits = nullptr;
  float* total = nullptr;      // (1)
  float* terms = nullptr;      // (11), unweighted, in the order of distill_terms.h's bits
  float* workspace = nullptr;  // distill_loss_workspace(rows) bytes
};

enum class DistillVariant : uint8_t {
  eight_lanes_per_row,
  warp_per_row,
  registers_of_block_per_row,
  shared_memory_of_block_per_row,
  two_sweeps_per_row,
};
DistillVariant pick_distill_variant(Type type, int64_t classes, bool has_teacher,
                                    size_t shared_bytes);

constexpr int64_t kMostDistillClasses = int64_t{1} << 30;
size_t distill_loss_workspace(int64_t rows);
void distill_loss(StreamRef stream, const DistillLossArgs& args);

}  // namespace kd::kernels
