#include "kd/random.h"

#include <cmath>
#include <numbers>

namespace kd {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

std::array<uint32_t, 4> random_words(uint64_t seed, Purpose purpose, uint32_t a, uint64_t b,
                                     uint32_t index) {
  const std::array<uint32_t, 4> counter{index, static_cast<uint32_t>(b),
                                        static_cast<uint32_t>(b >> 32), a};
  const std::array<uint32_t, 2> key{
      static_cast<uint32_t>(seed) ^ (static_cast<uint32_t>(purpose) * 0x9E3779B9u),
      static_cast<uint32_t>(seed >> 32)};
  return philox(counter, key);
}

uint32_t RandomSequence::next_word() {
  if (used_ == 4) {
    words_ = random_words(seed_, purpose_, a_, b_, index_++);
    used_ = 0;
  }
  return words_[static_cast<size_t>(used_++)];
}

double RandomSequence::uniform() { return next_word() * 0x1p-32; }

double RandomSequence::uniform(double low, double high) { return low + (high - low) * uniform(); }

uint32_t RandomSequence::below(uint32_t n) {
  return static_cast<uint32_t>((uint64_t{next_word()} * n) >> 32);
}

double RandomSequence::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

// A squeezed cube of a normal draw, rejected now and then; a shape below 1 is raised by 1 and the
// result taken times u^(1 / shape).
double RandomSequence::gamma(double shape) {
  if (shape < 1) {
    const double raised = gamma(shape + 1);
    return raised * std::pow(1.0 - uniform(), 1 / shape);
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal(), root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root, u = 1.0 - uniform();
    if (std::log(u) < 0.5 * x * x + d * (1 - v + std::log(v))) return d * v;
  }
}

double RandomSequence::beta(double a, double b) {
  const double x = gamma(a), y = gamma(b);
  return x + y > 0 ? x / (x + y) : 0.5;  // both underflow for tiny shapes only
}

}  // namespace kd
