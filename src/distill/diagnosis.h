// Where numbers stopped being finite.
#pragma once

#include "distill/setup.h"
#include "distill/step_programs.h"
#include "kd/report.h"

namespace kd {

// Runs the student forwards on one batch, as in training, with the weights as they are, and names
// the first layer whose output is not finite (none: it was an objective's term) and the first bad
// weight, if there is one.
Failure diagnose(const Model& student, const RunConfig& stage, const Variables& weights,
                 Backend& backend, const Batch& batch);

// One sentence of it.
std::string sentence_of(const Failure& failure);

}  // namespace kd
