// The loss by hand, and the mistakes that other projects made.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "golden/loss.h"
#include "kd/error.h"

namespace kd {
namespace {

TEST(LossGolden, CrossEntropy) {
  // p = (3/4, 1/4), label 0: -log 3/4 = 0.287682. Gradient p - y = (-1/4, 1/4).
  const Loss loss = loss_of({{"ce", 1, {}}}, {kLog3, 0}, {0, 0}, {0});
  EXPECT_NEAR(loss.total, 0.287682, 1e-6);
  EXPECT_NEAR(loss.gradient[0], -0.25, 1e-6);
  EXPECT_NEAR(loss.gradient[1], 0.25, 1e-6);
  // Smoothing 0.2: target (0.9, 0.1): -(0.9 log 3/4 + 0.1 log 1/4) = 0.258914 + 0.138629 =
  // 0.397543.
  EXPECT_NEAR(loss_of({{"ce", 1, {{"label_smoothing", 0.2}}}}, {kLog3, 0}, {0, 0}, {0}).total,
              0.397543, 1e-6);
  // The mean over two rows, (-log 3/4 - log 1/4) / 2 = (0.287682 + 1.386294) / 2 = 0.836988.
  EXPECT_NEAR(loss_of({{"ce", 1, {}}}, {kLog3, 0, kLog3, 0}, {0, 0, 0, 0}, {0, 1}).total, 0.836988,
              1e-6);
}

TEST(LossGolden, Kl) {
  // At T = 4: teacher 4 log 3, 0 -> (3/4, 1/4); student 0, 0 -> (1/2, 1/2).
  // KL = 3/4 log 3/2 + 1/4 log 1/2 = 0.304099 - 0.173287 = 0.130812; times 16 = 2.092994.
  const std::vector<TermSpec> kl{{"kl", 1, {{"temperature", 4}}}};
  const Loss loss = loss_of(kl, {0, 0}, {4 * kLog3, 0}, {0});
  EXPECT_NEAR(loss.total, 2.092994, 1e-5);  // without T^2: 0.131; divided by the classes: 1.05
  // Gradient T (p_s - p_t) = 4 (1/2 - 3/4) = -1.
  EXPECT_NEAR(loss.gradient[0], -1, 1e-6);
  EXPECT_NEAR(loss.gradient[1], 1, 1e-6);
  // Roles swapped: KL(1/2 || 3/4) = 1/2 log 2/3 + 1/2 log 2 = -0.202733 + 0.346574 = 0.143841; x 16
  // = 2.301457.
  EXPECT_NEAR(loss_of(kl, {4 * kLog3, 0}, {0, 0}, {0}).total, 2.301457, 1e-5);
}

TEST(LossGolden, KlDoesNotShrinkWithTheNumberOfClasses) {
  // Classes that neither gives any mass change nothing.
  const std::vector<TermSpec> kl{{"kl", 1, {{"temperature", 1}}}};
  const float none = -std::numeric_limits<float>::infinity();
  const double two = loss_of(kl, {0, 0}, {kLog3, 0}, {0}).total;
  const double five =
      loss_of(kl, {0, 0, none, none, none}, {kLog3, 0, none, none, none}, {0}).total;
  EXPECT_NEAR(two, 0.130812, 1e-6);
  EXPECT_NEAR(five, two, 1e-7);
}

TEST(LossGolden, KlOfNearlyEqualRowsKeepsItsDigits) {
  // p = (1/2, 1/2) against logits d apart: KL = log cosh(d/2) = d^2/8 - d^4/192; d =
  // 2^-9: 4.768370e-7.
  const float d = 0x1p-9f;
  const double exact = std::log(std::cosh(static_cast<double>(d) / 2));
  const Loss loss = loss_of({{"kl", 1, {{"temperature", 1}}}}, {d, 0}, {0, 0}, {0});
  EXPECT_NEAR(loss.total / exact, 1, 1e-6);
}

TEST(LossGolden, MeanSquaredError) {
  // ((1 - 3)^2 + (2 - 5)^2) / 2 = 6.5; centred: differences -2, -3 less their mean -2.5: 1/4.
  EXPECT_NEAR(loss_of({{"mse", 1, {}}}, {1, 2}, {3, 5}, {0}).total, 6.5, 1e-6);
  EXPECT_NEAR(loss_of({{"mse", 1, {{"centred", 1}}}}, {1, 2}, {3, 5}, {0}).total, 0.25, 1e-6);
}

TEST(LossGolden, LseMargin) {
  // m = 2, s = (2 log 3, 0): LSE(s/2) = log 4. w = softmax(0, 0) = 1/2 each:
  // 2 log 4 - (1/2)(2 log 3) = 2.772589 - 1.098612 = 1.673977. Gradient softmax(s/2) - w = (1/4,
  // -1/4).
  const Loss loss = loss_of({{"lse_margin", 1, {}}}, {2 * kLog3, 0}, {0, 0}, {0});
  EXPECT_NEAR(loss.total, 1.673977, 1e-6);
  EXPECT_NEAR(loss.gradient[0], 0.25, 1e-6);
  // Weights t / sum t = (1/4, 3/4): 2 log 4 - (1/4)(2 log 3) = 2.223283.
  EXPECT_NEAR(loss_of({{"lse_margin", 1, {{"normalised", 1}}}}, {2 * kLog3, 0}, {1, 3}, {0}).total,
              2.223283, 1e-6);
}

TEST(LossGolden, LseMarginLiteral) {
  // -1/2 log 4 - (1 * 2 log 3 + 3 * 0) / 4 = -0.693147 - 0.549306 = -1.242453.
  EXPECT_NEAR(loss_of({{"lse_margin_literal", 1, {}}}, {2 * kLog3, 0}, {1, 3}, {0}).total,
              -1.242453, 1e-6);
}

TEST(LossMistakes, LiteralDivergesWhereTheMarginLossIsBounded) {
  Rows literal{0, 0}, bounded{0, 0};
  for (int i = 0; i < 200; ++i) {
    const Loss a = loss_of({{"lse_margin_literal", 1, {}}}, literal, {1, 3}, {0});
    const Loss b = loss_of({{"lse_margin", 1, {{"normalised", 1}}}}, bounded, {1, 3}, {0});
    for (size_t k = 0; k < 2; ++k) {
      literal[k] -= a.gradient[k];
      bounded[k] -= b.gradient[k];
    }
  }
  EXPECT_LT(loss_of({{"lse_margin_literal", 1, {}}}, literal, {1, 3}, {0}).total, -100);
  EXPECT_GE(loss_of({{"lse_margin", 1, {{"normalised", 1}}}}, bounded, {1, 3}, {0}).total, 0);
}

TEST(LossMistakes, NoTermSilentlyDoesNothing) {
  for (const TermDef* def : all_terms()) {
    if (!def->is_row_term()) continue;
    const Loss loss = loss_of({{std::string(def->name), 1, {}}}, {1, -2, 0.5f}, {0.5f, 2, 1}, {1});
    EXPECT_NE(loss.terms[static_cast<size_t>(def->slot)], 0) << def->name;
    EXPECT_NE(loss.gradient[0], 0) << def->name;
    EXPECT_FLOAT_EQ(static_cast<float>(loss.total), loss.terms[static_cast<size_t>(def->slot)])
        << def->name;
  }
}

TEST(LossMistakes, ALabelOutOfRangeIsNoRead) {
  EXPECT_TRUE(std::isnan(loss_of({{"ce", 1, {}}}, {1, 2}, {0, 0}, {2}).total));
  EXPECT_TRUE(std::isnan(loss_of({{"ce", 1, {}}}, {1, 2}, {0, 0}, {-2}).total));
}

TEST(LossMistakes, AnObjectiveIsChecked) {
  EXPECT_THROW(resolve_objective({}), Error);
  EXPECT_THROW(resolve_objective({{"kl", 0, {}}}), Error);
  EXPECT_THROW(resolve_objective({{"kl", std::nan(""), {}}}), Error);
  EXPECT_THROW(resolve_objective({{"kll", 1, {}}}), Error);
  EXPECT_THROW(resolve_objective({{"kl", 1, {{"temprature", 4}}}}), Error);
  EXPECT_THROW(resolve_objective({{"kl", 1, {}}, {"kl", 1, {}}}), Error);
  EXPECT_THROW(resolve_objective({{"hard_mix", 1, {{"a", 0.8}, {"b", 0.3}}}}), Error);
  EXPECT_THROW(parse_terms("kl=lots"), Error);
}

}  // namespace
}  // namespace kd
