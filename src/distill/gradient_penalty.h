// The gradient penalty: weight * mean_i 1/2 |d l_i / d x_i|^2 over the pictures x_i of a batch, l_i
// their losses (Drucker and Le Cun 1992; Varga et al. 2018). Its gradient with respect to the
// weights is a central difference along the input gradient v (two more passes, no second-order
// tape):
//   d/dw  ~  (dL/dw at x + e v  -  dL/dw at x - e v) / (2 e),   e = 0.01 / rms(v)
#pragma once

#include <vector>

#include "kd/config.h"
#include "kd/distill_ops.h"
#include "kd/model.h"

namespace kd {

struct Penalty {
  const Model& student;
  const RunConfig& stage;
  InstantiateOptions how = {};  // as the student of the step was made
  DistillLossInputs loss = {};  // of the step; `student` is replaced
  DistillLossAttrs attrs = {};
  Value input, input_gradient;  // the pictures, and d loss / d pictures
};

// Appends the two passes. Adds its part to each gradient, and returns its weighted value (scalar).
// Running statistics are those of the step's own pass: the others' are thrown away ("penalty....").
Value add_gradient_penalty(Graph& graph, const Penalty& penalty,
                           const std::vector<Value>& parameters, std::vector<Value>& gradients);

}  // namespace kd
