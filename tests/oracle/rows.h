// Rows of logits, counting, and dropout with its own Philox.
#pragma once

#include <array>

#include "oracle/array.h"

namespace kd::oracle {

Array softmax(const Array& x, double temperature);      // over the last axis
Array log_softmax(const Array& x, double temperature);  // stays finite where softmax underflows
// The gradient by x from dy and y = softmax(x / T), or y = log_softmax(x / T).
Array softmax_backward(const Array& dy, const Array& y, double temperature, bool logarithm);
// A row of 0 for the label -1, of NaN for any other outside [0, classes).
Array one_hot(const Array& labels, int64_t classes, double smoothing);
// The place of the first of each row's largest, NaN never; 0 where nothing is above -inf.
Array arg_max(const Array& x);
// Rows whose label is among the k largest; a logit equal to the label's counts as larger. A label
// outside [0, K) is not.
double top_k_correct(const Array& logits, const Array& labels, int64_t k);

// Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

struct Dropout {
  double rate;
  uint64_t seed, step, tensor_id;
};
// Element i is kept iff its number is >= rate, and then scaled by 1 / (1 - rate).
Array dropout(const Array& x, const Dropout& dropout);

}  // namespace kd::oracle
