// Samples against a memory bank: products with chosen rows, their choice, their update.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

// x (B, D), bank (M, D), index (B, J): y[b, j] = <x[b], bank[index[b, j]]>, NaN outside the bank.
Array gather_dot(const Array& x, const Array& bank, const Array& index);
Array gather_dot_backward(const Array& dy, const Array& bank, const Array& index);

struct Negatives {
  int64_t count, population;
  uint64_t seed, step, tensor_id;
};
// labels may be empty; 16 tries for each.
Array sample_negatives(const Array& ids, const Array& labels, const Negatives& negatives);

Array bank_update(Array bank, const Array& ids, const Array& features, double momentum);

}  // namespace kd::oracle
