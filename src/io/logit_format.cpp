// How a picture's logits become bytes.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>

#include "io/logit_file.h"
#include "kd/dtype.h"

namespace kd {
namespace {

constexpr float kLargestHalf = 65504;

struct Entry {
  int32_t index;
  float logit;
};

template <class T>
void put(std::byte*& to, const T& value) {
  std::memcpy(to, &value, sizeof(value));
  to += sizeof(value);
}

template <class T>
T take(const std::byte*& from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  from += sizeof(value);
  return value;
}

}  // namespace

LogitFormat parse_logit_format(const std::string& name) {
  if (name == "fp32") return {};
  if (name == "fp16") return {LogitFormat::Kind::fp16, 0};
  LogitFormat format{LogitFormat::Kind::top, 0};
  const char *begin = name.data() + 3, *end = name.data() + name.size();
  const bool fits = name.starts_with("top") && name.size() > 3 &&
                    std::from_chars(begin, end, format.highest).ptr == end && format.highest >= 1 &&
                    format.highest <= 65536;
  if (!fits) {
    fail(ErrorCode::usage,
         "--cache-format is '{}', expected fp32, fp16, or top and a number, such as top8", name);
  }
  return format;
}

std::string LogitFormat::str() const {
  if (kind == Kind::top) return format("top{}", highest);
  return kind == Kind::fp16 ? "fp16" : "fp32";
}

size_t LogitFormat::bytes(int64_t classes) const {
  if (kind == Kind::top) return static_cast<size_t>(highest) * sizeof(Entry) + sizeof(float);
  return static_cast<size_t>(classes) * (kind == Kind::fp16 ? sizeof(uint16_t) : sizeof(float));
}

void LogitFormat::encode(std::span<const float> logits, std::byte* to) const {
  if (kind == Kind::fp32) {
    std::memcpy(to, logits.data(), logits.size_bytes());
    return;
  }
  if (kind == Kind::fp16) {
    for (const float x : logits) put(to, f32_to_f16(std::clamp(x, -kLargestHalf, kLargestHalf)));
    return;
  }
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto kept = order.begin() + highest;
  std::partial_sort(order.begin(), kept, order.end(), [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  for (auto at = order.begin(); at != kept; ++at) {
    put(to, Entry{*at, logits[static_cast<size_t>(*at)]});
  }
  // The logarithm of the others' mean exponential: given to each, their mass is what it was.
  const double top = double{logits[static_cast<size_t>(order[0])]};
  double sum = 0;
  for (auto at = kept; at != order.end(); ++at) {
    sum += std::exp(double{logits[static_cast<size_t>(*at)]} - top);
  }
  const auto others = static_cast<double>(order.end() - kept);
  put(to, static_cast<float>(top + std::log(std::max(sum / others, 1e-30))));
}

bool LogitFormat::decode(const std::byte* from, std::span<float> logits) const {
  if (kind == Kind::fp32) {
    std::memcpy(logits.data(), from, logits.size_bytes());
    return true;
  }
  if (kind == Kind::fp16) {
    for (float& x : logits) x = f16_to_f32(take<uint16_t>(from));
    return true;
  }
  const std::byte* entries = from;
  from += static_cast<size_t>(highest) * sizeof(Entry);
  std::ranges::fill(logits, take<float>(from));
  for (int64_t i = 0; i < highest; ++i) {
    const Entry entry = take<Entry>(entries);
    if (entry.index < 0 || static_cast<size_t>(entry.index) >= logits.size()) return false;
    logits[static_cast<size_t>(entry.index)] = entry.logit;
  }
  return true;
}

}  // namespace kd
