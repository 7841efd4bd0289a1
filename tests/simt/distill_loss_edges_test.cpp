// The fused distillation loss where naive arithmetic fails.
#include "simt/distill_loss_problem.h"

namespace kd::kernels {
namespace {
// -----------------------------------------------------------------------------------

constexpr int64_t kEdgeLengths[] = {9, 100, 1000, 3000, 30000};  // one for each variant

TEST(DistillLossEdges, DivergenceOfNearEqualRows) {
  for (const double temperature : {1.0, 4.0}) {
    for (const int64_t k : kEdgeLengths) {
      Problem p = problem(2, k);
      for (int64_t i = 0; i < p.s.size(); ++i) {
        p.s.at(i) = normal(2);
        p.t.at(i) = p.s.at(i) + normal(1.4e-3 * temperature);
      }
      round_to<float>(p.s), round_to<float>(p.t);
      p.params = {.kl = 1 / (temperature * temperature), .temperature = temperature};
      const Want want = expected(p);
      EXPECT_LT(want.total, 1e-5);
      EXPECT_GT(want.total, 1e-8);
      SCOPED_TRACE(testing::Message() << k << " classes, T = " << temperature);
      compare(run(p), want);
    }
  }
}

// Equal but for a constant: the divergence is 0.
TEST(DistillLossEdges, DivergenceOfShiftedRows) {
  Problem p = problem(3, 1000);
  for (int64_t i = 0; i < p.s.size(); ++i) {
    p.s.at(i) = std::round(p.s.at(i) * 64) / 64;
    p.t.at(i) = p.s.at(i) + 5;
  }
  p.params = kl_only();
  const Result got = run(p);
  EXPECT_NEAR(0, got.total, 1e-12);
  for (const double g : got.gradient) EXPECT_NEAR(0, g, 1e-9);
}

TEST(DistillLossEdges, MaskedClassesAddNothing) {
  for (const int64_t k : kEdgeLengths) {
    Problem p = problem(3, k);
    for (int64_t i = 0; i < p.s.size(); ++i) {  // both, teacher only; a whole run at the start
      const int64_t in_row = i % k;
      if (in_row % 3 == 1 || in_row < k / 2) p.s.at(i) = p.t.at(i) = -kInf;
      if (in_row % 5 == 4) p.t.at(i) = -kInf;
    }
    for (int64_t row = 0; row < 3; ++row) {
      p.s.at((row + 1) * k - 1) = p.t.at((row + 1) * k - 1) = static_cast<double>(row);
      p.labels.at(row) = static_cast<double>(k - 1);
    }
    p.params = {.ce = 0.3, .kl = 0.7, .lse_margin = 0.5};
    check(p);
    p.params = {.ce = 0.3, .kl = 0.7};
    check(p);
  }
}

TEST(DistillLossEdges, ClassOfProbabilityZeroThatTheTeacherWantsIsInfinite) {
  Problem p = problem(1, 10);
  p.s.at(3) = -kInf;
  p.params = kl_only();
  EXPECT_EQ(kInf, run(p).total);
  p.params = ce_only();
  p.labels.at(0) = 3;
  EXPECT_EQ(kInf, run(p).total);
}

TEST(DistillLossEdges, OneClass) {
  for (const double scale : {1.0, 8.0}) {
    Problem p = problem(5, 1);
    p.scale = scale;
    p.params = ce_and_kl();
    const Result got = run(p);
    EXPECT_EQ(0, got.terms[0]);
    EXPECT_NEAR(0, got.terms[1], 1e-12);
    for (const double g : got.gradient) EXPECT_NEAR(0, g, 1e-12);
  }
}

TEST(DistillLossEdges, ColdAndHot) {
  for (const double temperature : {0.1, 20.0}) {
    for (const int64_t k : kEdgeLengths) {
      Problem p = problem(3, k);
      p.params = every_term();
      p.params.literal = 0;
      p.params.temperature = p.params.margin = p.params.margin_temperature = temperature;
      check(p);
    }
  }
}

TEST(DistillLossEdges, CertainAndRight) {
  for (const double lead : {10.0, 20.0}) {
    for (const int64_t k : kEdgeLengths) {
      Problem p = problem(2, k);
      for (int64_t i = 0; i < p.s.size(); ++i) p.s.at(i) = p.t.at(i) = normal(0.5);
      for (int64_t row = 0; row < 2; ++row) {
        const int64_t at = row * k + static_cast<int64_t>(p.labels.at(row));
        p.s.at(at) = lead, p.t.at(at) = lead + 1;
      }
      SCOPED_TRACE(lead);
      p.params = ce_only();
      check(p);
      p.params = {.kl = 1, .temperature = 1};
      check(p);
    }
  }
}

TEST(DistillLossEdges, LabelsOutOfRange) {
  for (const int64_t k : kEdgeLengths) {
    for (const double label : {-2.0, static_cast<double>(k), 0x1p31 - 1, -0x1p31}) {
      Problem p = problem(2, k);
      p.params = ce_and_kl();
      const Result right = run(p);
      p.labels.at(1) = label;
      const Result got = run(p);
      EXPECT_TRUE(std::isnan(got.total));
      EXPECT_TRUE(std::isnan(got.terms[0]));
      EXPECT_EQ(right.terms[1], got.terms[1]);
    }
  }
}

TEST(DistillLossEdges, NotANumber) {
  for (const int64_t k : kEdgeLengths) {
    for (const bool in_teacher : {false, true}) {
      Problem p = problem(2, k);
      p.params = every_term();
      (in_teacher ? p.t : p.s).at(k + k / 2) = NAN;
      const Result got = run(p);
      EXPECT_TRUE(std::isnan(got.total));
      for (const size_t term : {1, 2, 3, 4}) EXPECT_TRUE(std::isnan(got.terms[term])) << term;
      EXPECT_NE(in_teacher, std::isnan(got.terms[0]));
      for (int64_t i = 0; i < 2 * k; ++i) {
        ASSERT_EQ(i >= k, std::isnan(got.gradient[static_cast<size_t>(i)])) << i;
      }
    }
  }
}

TEST(DistillLossEdges, GradientsOfDistributionsSumToZero) {
  for (const int64_t k : kEdgeLengths) {
    for (const bool kl : {false, true}) {
      Problem p = problem(1, k);
      p.params = kl ? kl_only() : DistillParams{.ce = 1, .smoothing = 0.1};
      double sum = 0, magnitude = 0;
      for (const double g : run(p).gradient) sum += g, magnitude += std::abs(g);
      EXPECT_NEAR(0, sum, 1e-6 * magnitude);
    }
  }
}

TEST(DistillLossEdges, ScaleMultipliesTheGradientOnly) {
  Problem p = problem(3, 100);
  p.params = every_term();
  const Result plain = run(p);
  p.scale = 4096;
  const Result scaled = run(p);
  EXPECT_EQ(plain.total, scaled.total);
  EXPECT_EQ(plain.terms, scaled.terms);
  for (size_t i = 0; i < plain.gradient.size(); ++i) {
    EXPECT_EQ(4096 * plain.gradient[i], scaled.gradient[i]);
  }
}

TEST(DistillLossEdges, WithoutTeacherOrLabelsOrTerms) {
  Problem p = problem(3, 100);
  p.t = {};
  p.params = ce_only();
  Problem with = problem(3, 100);
  with.s = p.s, with.labels = p.labels, with.params = p.params;
  const Want want = expected(with);
  p.t = {};
  compare(run(p), want);
  p = problem(3, 100);
  p.labels = {};
  p.params = kl_only();
  compare(run(p), expected(p));
  p.params = {};
  compare(run(p), expected(p));
}

}  // namespace
}  // namespace kd::kernels
