// The fused loss's terms that compare softmaxes (distill_pairs.h), mixed and missing labels, and
// weights of a step: every variant and type against the definitions in float64.
#include <bit>

#include "simt/distill_loss_problem.h"

namespace kd::kernels {
namespace {

constexpr int64_t kLengths[] = {3, 9, 33, 100, 1001, 2048, 3001};
constexpr int64_t kVariants[] = {9, 100, 1000, 3000, 30000};  // one length each

class DistillPairs : public testing::TestWithParam<Type> {};

TEST_P(DistillPairs, OfEveryLengthAndSetOfTerms) {
  for (const int64_t k : kLengths) {
    Problem p = problem(k > 3000 ? 1 : k > 200 ? 2 : 7, k);
    if (GetParam() == Type::f16) p.scale = 1024;
    for (int which = 0; which < kPairSets; ++which) {
      if (k > 1000 && which % 4 != 0) continue;
      SCOPED_TRACE(which);
      p.params = pairs(which);
      check(p, GetParam());
    }
  }
}

TEST_P(DistillPairs, OfUnalignedRows) {
  for (const int64_t k : {3, 33, 1000, 2049}) {
    Problem p = problem(3, k);
    p.params = pairs(kPairSets - 1);
    p.misaligned = 1;
    check(p, GetParam());
  }
}

// Differences of 100 at T = 0.05 are exponents of 2000.
TEST_P(DistillPairs, ColdAndFarApart) {
  for (const int64_t k : kVariants) {
    Problem p = problem(4, k);
    for (int64_t i = 0; i < p.s.size(); ++i) p.s.at(i) = uniform(-50, 50), p.t.at(i) = -p.s.at(i);
    p.params = pairs(kPairSets - 1);
    p.params.literal = 0;
    p.params.temperature = p.params.margin = p.params.margin_temperature = 0.05;
    p.params.dkd_temperature = p.params.standard_temperature = p.params.js_temperature = 0.05;
    p.params.spherical_temperature = 0.05;
    const Result got = run(p, GetParam());
    EXPECT_TRUE(std::isfinite(got.total));
    for (const double g : got.gradient) ASSERT_TRUE(std::isfinite(g));
    if (GetParam() != Type::f32) continue;
    round_to<float>(p.s), round_to<float>(p.t);
    const Want want = expected(p);
    const Result exact = run(p);
    for (size_t i = 0; i < kTerms; ++i) {
      EXPECT_NEAR(exact.terms[i], want.terms[i], 1e-5 * std::abs(want.terms[i])) << i;
    }
  }
}

TEST_P(DistillPairs, OfTwoLabels) {
  for (const int64_t k : kVariants) {
    Problem p = problem(5, k);
    p.partners = p.shares = Array::zeros({5});
    p.labels.data = {0, 1, 5, -1, 3}, p.partners.data = {2, 1, -1, 4, static_cast<double>(k - 1)};
    p.shares.data = {0.25, 0.5, 0.75, 0.125, 1};
    for (const DistillParams& params :
         {ce_and_kl(), every_term(), DistillParams{.ce = 0.5, .hard_mix = 1, .smoothing = 0.1}}) {
      p.params = params;
      check(p, GetParam());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, DistillPairs, testing::Values(Type::f32, Type::f16, Type::bf16));

TEST(DistillLabels, RowsWithoutOneAddNothing) {
  for (const int64_t k : kVariants) {
    Problem p = problem(3, k);
    p.labels.data = {-1, 1, -1};
    for (const DistillParams& params :
         {ce_only(), DistillParams{.hard_mix = 1}, DistillParams{.dkd = 1}}) {
      p.params = params;
      check(p);
      const Result got = run(p);
      for (int64_t i = 0; i < 3 * k; ++i) {
        if (i / k == 1) continue;
        ASSERT_EQ(0, got.gradient[static_cast<size_t>(i)]) << i;
      }
    }
  }
}

TEST(DistillLabels, OutOfRangeAreNaN) {
  for (const int64_t k : kVariants) {
    for (const double label : {-2.0, static_cast<double>(k), 0x1p31 - 1, -0x1p31}) {
      Problem p = problem(2, k);
      p.params = {.kl = 1, .hard_mix = 1, .dkd = 1};
      p.labels.at(1) = label;
      const Result got = run(p);
      EXPECT_TRUE(std::isnan(got.terms[6]) && std::isnan(got.terms[7])) << label;
      EXPECT_FALSE(std::isnan(got.terms[1]));
      p.params = {.ce = 1};
      p.labels.at(1) = 0;
      p.partners = p.shares = Array::zeros({2});
      p.partners.at(0) = label;
      EXPECT_TRUE(std::isnan(run(p).total)) << label;
    }
  }
}

TEST(DistillWeights, OfTheStepMultiplyValuesAndGradient) {
  for (const int64_t k : {10, 1000}) {
    Problem p = problem(3, k);
    p.term_weights = Array::zeros({static_cast<int64_t>(kTerms)});
    for (size_t i = 0; i < kTerms; ++i) p.term_weights.data[i] = 0.25 * static_cast<double>(i);
    for (const DistillParams& params : {ce_and_kl(), every_term(), pairs(kPairSets - 1)}) {
      p.params = params;
      check(p);
    }
    p.params = kl_only();
    p.term_weights.data[1] = 0;  // still reported
    const Result got = run(p);
    EXPECT_EQ(0, got.total);
    EXPECT_GT(got.terms[1], 0);
    for (const double g : got.gradient) ASSERT_EQ(0, g);
  }
}

// Nearly equal rows keep the digits of their divergence.
TEST(DistillPairsEdges, NearEqualRows) {
  for (const int64_t k : kVariants) {
    Problem p = problem(2, k);
    for (int64_t i = 0; i < p.s.size(); ++i) {
      p.s.at(i) = normal(2);
      p.t.at(i) = p.s.at(i) + normal(2e-3);
    }
    round_to<float>(p.s), round_to<float>(p.t);
    for (const int which : {3, 4, 5, 6}) {
      SCOPED_TRACE(testing::Message() << k << " classes, set " << which);
      p.params = pairs(which);
      const Want want = expected(p);
      EXPECT_NEAR(run(p).total / want.total, 1, 1e-4);
    }
    p.t = p.s;
    for (const int which : {3, 4, 5, 6}) {
      p.params = pairs(which);
      const Result got = run(p);
      EXPECT_NEAR(0, got.total, 1e-12) << which;
      for (const double g : got.gradient) ASSERT_NEAR(0, g, 1e-9) << which;
    }
  }
}

TEST(DistillPairsEdges, MaskedClassesAddNothing) {
  for (const int64_t k : kVariants) {
    Problem p = problem(3, k);
    for (int64_t i = 0; i < p.s.size(); ++i) {
      const int64_t in_row = i % k;
      if (in_row % 3 == 1 || in_row < k / 2) p.s.at(i) = p.t.at(i) = -kInf;
      if (in_row % 5 == 4) p.t.at(i) = -kInf;
    }
    for (int64_t row = 0; row < 3; ++row) {
      for (const int64_t last : {1, 2}) {
        p.s.at((row + 1) * k - last) = p.t.at((row + 1) * k - last) = static_cast<double>(row);
      }
      p.labels.at(row) = static_cast<double>(k - 1);
    }
    for (const int which : {0, 1, 2, 3}) {
      SCOPED_TRACE(testing::Message() << k << " classes, set " << which);
      p.params = pairs(which);
      check(p);
    }
  }
}

TEST(DistillPairsEdges, OneClassAndConstantRows) {
  for (const int64_t k : {1, 7, 1000}) {
    Problem p = problem(3, k);
    for (double& s : p.s.data) s = 50.1;
    p.params = pairs(kPairSets - 1);
    p.params.literal = 0;
    const Result got = run(p);
    EXPECT_TRUE(std::isfinite(got.total)) << k;
    for (const double g : got.gradient) ASSERT_TRUE(std::isfinite(g)) << k;
    if (k == 1) {
      for (const size_t term : {5, 6, 7, 8, 9, 10}) EXPECT_EQ(0, got.terms[term]) << term;
    }
  }
}

TEST(DistillPairsEdges, TheFirstOfEqualLogitsIsLikeliest) {
  for (const int64_t k : kVariants) {
    Problem p = problem(2, k);
    for (double& x : p.s.data) x = std::round(x);
    for (double& x : p.t.data) x = std::round(x);
    for (const int which : {0, 2}) {
      p.params = pairs(which);
      check(p);
    }
  }
}

TEST(DistillPairsEdges, NotANumber) {
  for (const int64_t k : kVariants) {
    for (const bool in_teacher : {false, true}) {
      Problem p = problem(2, k);
      p.params = pairs(kPairSets - 1);
      (in_teacher ? p.t : p.s).at(k + k / 2) = NAN;
      const Result got = run(p);
      for (size_t term = 1; term < kTerms; ++term) EXPECT_TRUE(std::isnan(got.terms[term])) << term;
      for (int64_t i = 0; i < 2 * k; ++i) {
        ASSERT_EQ(i >= k, std::isnan(got.gradient[static_cast<size_t>(i)])) << i;
      }
    }
  }
}

TEST(DistillPairsRuns, GiveTheSameBitsInAnyOrder) {
  for (const int64_t k : {10, 100, 1000, 2500}) {
    Problem p = problem(k > 2000 ? 2 : 9, k);
    p.params = pairs(kPairSets - 1);
    simt::seed(1);
    const Result first = run(p);
    for (const uint64_t order : {2, 3, 4}) {
      simt::seed(order);
      const Result again = run(p);
      EXPECT_EQ(std::bit_cast<uint32_t>(first.total), std::bit_cast<uint32_t>(again.total));
      EXPECT_EQ(first.terms, again.terms);
      EXPECT_EQ(first.gradient, again.gradient);
    }
  }
}

}  // namespace
}  // namespace kd::kernels
