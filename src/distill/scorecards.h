// What a finished run measures of its best student, on pictures it was not chosen by.
#pragma once

#include "distill/setup.h"
#include "kd/report.h"

namespace kd {

// Of setup.student beside the first teacher and, where the run's folder has a finished paired
// baseline, beside that. Reads the test pictures once.
Scorecard make_scorecard(const Setup& setup, const RunConfig& config);

}  // namespace kd
