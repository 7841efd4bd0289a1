#include "core/stop_watch.h"

#include <algorithm>
#include <chrono>

#include "kd/error.h"

namespace kd {

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Span timed(const std::function<void()>& work) {
  Span span{steady_seconds(), 0};
  work();
  span.end = steady_seconds();
  return span;
}

double median(std::vector<double> values) {
  KD_CHECK(!values.empty(), "no values, no median");
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace kd
