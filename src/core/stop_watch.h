// How long something took.
#pragma once

#include <functional>
#include <vector>

#include "kd/program.h"

namespace kd {

double steady_seconds();  // now, by the clock of a Span
Span timed(const std::function<void()>& work);
inline double seconds_of(const std::function<void()>& work) { return timed(work).seconds(); }

double median(std::vector<double> values);  // the upper one of two; throws Error if there is none

}  // namespace kd
