// Weights that are no numbers: legal in a file, and the end of every result.
#pragma once

#include <string>
#include <vector>

#include "kd/model.h"

namespace kd {

// Their names.
std::vector<std::string> tensors_not_finite(const Model& model);

// A sentence naming the first tensor that holds NaN or infinity and how many there are; "" where
// all are finite.
std::string not_finite(const Model& model);

}  // namespace kd
