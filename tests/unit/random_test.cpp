#include "kd/random.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kd {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers of Random123's kat_vectors for philox4x32, 10 rounds.
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomTest, EveryPartOfTheKeyMatters) {
  const Words base = random_words(1, Purpose::augment, 2, 3, 4);
  EXPECT_NE(base, random_words(2, Purpose::augment, 2, 3, 4));
  EXPECT_NE(base, random_words(1ull << 40 | 1, Purpose::augment, 2, 3, 4));
  EXPECT_NE(base, random_words(1, Purpose::shuffle, 2, 3, 4));
  EXPECT_NE(base, random_words(1, Purpose::augment, 3, 3, 4));
  EXPECT_NE(base, random_words(1, Purpose::augment, 2, 1ull << 32 | 3, 4));
  EXPECT_NE(base, random_words(1, Purpose::augment, 2, 3, 5));
}

TEST(RandomTest, SequenceIsTheWordsInOrder) {
  RandomSequence sequence(9, Purpose::init, 1, 2);
  for (uint32_t index = 0; index < 3; ++index) {
    for (const uint32_t word : random_words(9, Purpose::init, 1, 2, index)) {
      EXPECT_EQ(sequence.next_word(), word);
    }
  }
}

TEST(RandomTest, MomentsAndRanges) {
  RandomSequence sequence(5, Purpose::init, 0, 0);
  double sum = 0, squares = 0, uniform_sum = 0;
  std::array<int, 7> counts{};
  const int n = 70000;
  for (int i = 0; i < n; ++i) {
    const double x = sequence.normal();
    sum += x;
    squares += x * x;
    const double u = sequence.uniform(-1, 3);
    ASSERT_GE(u, -1);
    ASSERT_LT(u, 3);
    uniform_sum += u;
    ++counts[sequence.below(7)];
  }
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2.0 / n));
  EXPECT_NEAR(uniform_sum / n, 1, 0.03);
  for (const int count : counts) EXPECT_NEAR(count, n / 7.0, 5 * std::sqrt(n / 7.0));
}

// Mean a / (a + b), variance a b / ((a + b)^2 (a + b + 1)); shapes below and above 1.
TEST(RandomTest, BetaHasItsMoments) {
  for (const auto& [a, b] : {std::pair{0.2, 0.2}, {1.0, 1.0}, {4.0, 1.5}}) {
    RandomSequence sequence(6, Purpose::mix, 0, 0);
    double sum = 0, squares = 0;
    const int n = 40000;
    for (int i = 0; i < n; ++i) {
      const double x = sequence.beta(a, b);
      ASSERT_GE(x, 0);
      ASSERT_LE(x, 1);
      sum += x;
      squares += x * x;
    }
    const double mean = a / (a + b), variance = mean * b / (a + b) / (a + b + 1);
    EXPECT_NEAR(sum / n, mean, 5 * std::sqrt(variance / n));
    EXPECT_NEAR(squares / n - sum / n * (sum / n), variance, 0.03 * variance) << a;
  }
}

}  // namespace
}  // namespace kd
