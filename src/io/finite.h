// Weights that are no numbers: legal in a file, and the end of every result.
#pragma once

#include <string>

#include "kd/model.h"

namespace kd {

// A sentence naming the first tensor that holds NaN or infinity and how many there are; "" where
// all are finite.
std::string not_finite(const Model& model);

}  // namespace kd
