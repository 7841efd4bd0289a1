// Counter-based randomness: a pure function of what it is for. No generator state anywhere, so
// the number of workers, resuming and caching never change a result.
#pragma once

#include <array>
#include <cstdint>

namespace kd {

// What the numbers are for; keeps streams apart. Values are part of the file formats: append only.
enum class Purpose : uint32_t {
  init = 1,
  shuffle = 2,
  augment = 3,
  dropout = 4,
  split = 5,
  negatives = 6,
  distort = 7,  // b: 2 id for RandAugment, 2 id + 1 for random erasing
  mix = 8,      // b: the number of the batch
  replace = 9,  // a: the step, b: the module
  search = 10   // a: the number of the draw, b: of what is drawn
};

// Philox4x32-10 (Salmon et al., SC 2011): 128-bit counter, 64-bit key.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The four words for (seed, purpose, a, b, index): a is usually an epoch or step (mod 2^32 kept), b
// a sample or tensor id, index the draw within it.
std::array<uint32_t, 4> random_words(uint64_t seed, Purpose purpose, uint32_t a, uint64_t b,
                                     uint32_t index);

inline float uniform01(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}  // [0, 1)

// A sequence of draws for one (seed, purpose, a, b).
class RandomSequence {
 public:
  RandomSequence(uint64_t seed, Purpose purpose, uint32_t a, uint64_t b)
      : seed_(seed), purpose_(purpose), a_(a), b_(b) {}
  uint32_t next_word();
  double uniform();                         // [0, 1), 32 bits
  double uniform(double low, double high);  // [low, high)
  uint32_t below(uint32_t n);               // 0 .. n-1, unbiased to 2^-32
  double normal();                          // Box-Muller
  double gamma(double shape);               // scale 1 (Marsaglia & Tsang, TOMS 2000); shape > 0
  double beta(double a, double b);          // in [0, 1], of two gammas

 private:
  uint64_t seed_;
  Purpose purpose_;
  uint32_t a_;
  uint64_t b_;
  uint32_t index_ = 0;
  int used_ = 4;
  std::array<uint32_t, 4> words_{};
};

}  // namespace kd
