// Rows of logits (rows, classes): softmax(x / T), its logarithm, the gradients of both, one-hot
// labels, the first of each row's largest, and how many rows have their label among the k largest.
//
// Formulas: y = e^((x - m) / T) / S, log y = (x - m) / T - log S, m the maximum;
// softmax_backward: dx = y (dy - sum dy y) / T; log_softmax_backward: dx = (dy - e^y sum dy) / T.
// Bytes: inputs once from memory, and once more from the cache that the first sweep filled; output
// once. FLOPs: about 25 an element.
// Mapping: a warp sweeps a row of up to 1024 classes with a running maximum, a block of 512 threads
// longer ones; 16-byte access.
// -inf has probability 0; NaN, or nothing but -inf, makes the row NaN. A label outside [0, classes)
// makes its one-hot row NaN and is never right.
#pragma once

#include "kernels/distill_sums.h"

namespace kd::kernels {

struct SoftmaxArgs {
  Type type = Type::f32;  // of all
  int64_t rows = 0, classes = 0;
  double temperature = 1;
  bool logarithm = false;
  const void *x = nullptr, *dy = nullptr, *saved_y = nullptr;  // forward: x; backward: dy and y
  void *y = nullptr, *dx = nullptr;                            // their results
};
void softmax(StreamRef stream, const SoftmaxArgs& args);
void softmax_backward(StreamRef stream, const SoftmaxArgs& args);

struct OneHotArgs {
  int64_t rows = 0, classes = 0;
  double smoothing = 0;
  const int32_t* labels = nullptr;
  float* y = nullptr;
};
void one_hot(StreamRef stream, const OneHotArgs& args);

// The place of the first of the largest; NaN is none, 0 where nothing is above -inf.
struct ArgMaxArgs {
  Type type = Type::f32;
  int64_t rows = 0, classes = 0;
  const void* x = nullptr;
  int32_t* largest = nullptr;  // (rows)
};
void arg_max(StreamRef stream, const ArgMaxArgs& args);

// A logit equal to the label's, or NaN, counts as larger.
struct TopKArgs {
  Type type = Type::f32;
  int64_t rows = 0, classes = 0;
  int k = 1;
  const void* logits = nullptr;
  const int32_t* labels = nullptr;
  int32_t* correct = nullptr;  // (1)
};
void top_k_correct(StreamRef stream, const TopKArgs& args);

}  // namespace kd::kernels
