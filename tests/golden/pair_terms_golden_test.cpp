// The terms that compare softmaxes, by hand; rows with two labels or none; weights of a step.
#include <limits>

#include "golden/loss.h"
#include "kd/error.h"

namespace kd {
namespace {

void expect_gradient(const Loss& loss, const std::vector<double>& want) {
  ASSERT_EQ(want.size(), loss.gradient.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(loss.gradient[i], want[i], 2e-6) << i;
}

TEST(PairTermsGolden, TeacherCrossEntropy) {
  // p = (3/4, 1/4), the teacher prefers class 1: -log 1/4. Gradient p - (0, 1).
  const Loss loss = loss_of({{"teacher_ce", 1, {}}}, {kLog3, 0}, {0, 1}, {-1});
  EXPECT_NEAR(loss.total, 1.386294, 1e-6);
  expect_gradient(loss, {0.75, -0.75});
  // Equal logits: the first, -log 3/4.
  EXPECT_NEAR(loss_of({{"teacher_ce", 1, {}}}, {kLog3, 0}, {2, 2}, {-1}).total, 0.287682, 1e-6);
  // Soft: p_t = (3/4, 1/4) against (1/2, 1/2): log 2. Gradient p_s - p_t.
  const Loss soft = loss_of({{"teacher_ce", 1, {{"soft", 1}}}}, {0, 0}, {kLog3, 0}, {-1});
  EXPECT_NEAR(soft.total, 0.693147, 1e-6);
  expect_gradient(soft, {-0.25, 0.25});
}

TEST(PairTermsGolden, HardMix) {
  // p = (3/4, 1/4), y = 1, both networks prefer class 0:
  // 0.5 * 1.386294 + (0.3 + 0.2) * 0.287682 = 0.836988. Gradient p - (0.5, 0.5).
  const Loss loss = loss_of({{"hard_mix", 1, {}}}, {kLog3, 0}, {1, 0}, {1});
  EXPECT_NEAR(loss.total, 0.836988, 1e-6);
  expect_gradient(loss, {0.25, -0.25});
  // a = 0.1, b = 0.6, the teacher prefers class 1: 0.7 * 1.386294 + 0.3 * 0.287682 = 1.056710.
  const std::vector<TermSpec> other{{"hard_mix", 1, {{"a", 0.1}, {"b", 0.6}}}};
  EXPECT_NEAR(loss_of(other, {kLog3, 0}, {0, 1}, {1}).total, 1.056710, 1e-6);
}

TEST(PairTermsGolden, Decoupled) {
  // T = 1, y = 0: p = (4, 3, 1) / 8 against q = (1, 1, 1) / 3.
  // Target: 1/2 log 3/2 + 1/2 log 3/4 = 0.202733 - 0.143841 = 0.058892.
  // Others: (3/4, 1/4) against (1/2, 1/2): 0.130812. 0.058892 + 8 * 0.130812 = 1.105388.
  const float log4 = std::log(4.0f);
  const std::vector<TermSpec> dkd{{"dkd", 1, {{"temperature", 1}}}};
  const Loss loss = loss_of(dkd, {0, 0, 0}, {log4, kLog3, 0}, {0});
  EXPECT_NEAR(loss.total, 1.105388, 2e-6);
  // q_y - p_y = -1/6; others: 8 (q^ - p^) + 1/6 q^.
  expect_gradient(loss, {-1.0 / 6, -2 + 1.0 / 12, 2 + 1.0 / 12});
  // Logits and T doubled: T^2 times the value, T times the gradient.
  const Loss twice =
      loss_of({{"dkd", 1, {{"temperature", 2}}}}, {0, 0, 0}, {2 * log4, 2 * kLog3, 0}, {0});
  EXPECT_NEAR(twice.total, 4.421552, 8e-6);
  EXPECT_NEAR(twice.gradient[0], -1.0 / 3, 2e-6);
  // alpha alone: 3 * 0.058892.
  const std::vector<TermSpec> target{{"dkd", 1, {{"temperature", 1}, {"alpha", 3}, {"beta", 0}}}};
  EXPECT_NEAR(loss_of(target, {0, 0, 0}, {log4, kLog3, 0}, {0}).total, 0.176676, 2e-6);
}

TEST(PairTermsGolden, StandardisedLogits) {
  // z(1, 0, -1) = (1, 0, -1): mean 0, sd sqrt(2 / 2). Against a flat teacher, T = 1:
  // log(e + 1 + 1/e) - log 3 = 1.407606 - 1.098612 = 0.308994.
  const std::vector<TermSpec> one{{"logit_std", 1, {{"temperature", 1}}}};
  const Loss loss = loss_of(one, {1, 0, -1}, {7, 7, 7}, {-1});
  EXPECT_NEAR(loss.total, 0.308994, 2e-6);
  // g = q - 1/3 = (0.331908, -0.088605, -0.243302); g - z sum(g z) / 2, sum(g z) = 0.575210.
  expect_gradient(loss, {0.044303, -0.088605, 0.044303});
  // Shift and scale do not matter.
  EXPECT_NEAR(loss_of(one, {10, 5, 0}, {7, 7, 7}, {-1}).total, 0.308994, 2e-6);
  // T = 2: 4 (log(e^0.5 + 1 + e^-0.5) - log 3) = 4 (1.180270 - 1.098612) = 0.326630.
  EXPECT_NEAR(loss_of({{"logit_std", 1, {}}}, {1, 0, -1}, {7, 7, 7}, {-1}).total, 0.326630, 4e-6);
}

TEST(PairTermsGolden, Jeffreys) {
  // q = (1/2, 1/2), p = (3/4, 1/4): (0.143841 + 0.130812) / 2 = 0.137327.
  const Loss loss = loss_of({{"js", 1, {}}}, {0, 0}, {kLog3, 0}, {-1});
  EXPECT_NEAR(loss.total, 0.137327, 1e-6);
  // 1/2 [q (log q/p - 0.143841) + q - p] = 1/2 [1/2 (-0.405465 - 0.143841) - 1/4] = -0.262327.
  expect_gradient(loss, {-0.262327, 0.262327});
  EXPECT_NEAR(loss_of({{"js", 1, {}}}, {kLog3, 0}, {0, 0}, {-1}).total, 0.137327,
              1e-6);  // symmetric
}

TEST(PairTermsGolden, Spherical) {
  // Two classes lie at (2, -2) and (-2, 2) whatever their logits: T = 1, p = (1 - q_0, q_0),
  // q_0 = 1 / (1 + e^-4) = 0.982014: 4 (2 q_0 - 1) = 3.856110.
  const std::vector<TermSpec> one{{"spherical", 1, {{"temperature", 1}}}};
  EXPECT_NEAR(loss_of(one, {3, 1}, {-5, 40}, {-1}).total, 3.856110, 1e-5);
  // T = 4: 16 * 1 (2 / (1 + e^-1) - 1) = 7.393875.
  EXPECT_NEAR(loss_of({{"spherical", 1, {}}}, {3, 1}, {-5, 40}, {-1}).total, 7.393875, 1e-5);
}

TEST(LabelsGolden, TwoOfAMixedPicture) {
  // 1/4 * 0.287682 + 3/4 * 1.386294 = 1.111641; gradient p - (1/4, 3/4).
  const RowInputs mixed{{0}, {1}, {0.25f}, {}};
  const Loss loss = loss_of({{"ce", 1, {}}}, {kLog3, 0}, {0, 0}, mixed);
  EXPECT_NEAR(loss.total, 1.111641, 1e-6);
  expect_gradient(loss, {0.5, -0.5});
  // hard_mix: both networks prefer class 0: 0.5 * 1.111641 + 0.5 * 0.287682 = 0.699662.
  EXPECT_NEAR(loss_of({{"hard_mix", 1, {}}}, {kLog3, 0}, {1, 0}, mixed).total, 0.699662, 1e-6);
  EXPECT_THROW(loss_of({{"dkd", 1, {}}}, {kLog3, 0}, {1, 0}, mixed), Error);
}

TEST(LabelsGolden, NoneAddsNothing) {
  // The mean is over both rows: 0.287682 / 2.
  const Loss loss = loss_of({{"ce", 1, {}}}, {kLog3, 0, 5, 1}, {0, 0, 0, 0}, {0, -1});
  EXPECT_NEAR(loss.total, 0.143841, 1e-6);
  expect_gradient(loss, {-0.125, 0.125, 0, 0});
  for (const char* term : {"hard_mix", "dkd"}) {
    const Loss none = loss_of({{term, 1, {}}}, {kLog3, 0, 1}, {1, 0, 2}, {-1});
    EXPECT_EQ(0, none.total) << term;
    expect_gradient(none, {0, 0, 0});
  }
}

TEST(WeightsGolden, OfTheStepMultiply) {
  // 2 * 3 * 0.287682 = 1.726092, and half the kl.
  const std::vector<TermSpec> terms{{"ce", 2, {}}, {"kl", 1, {{"temperature", 1}}}};
  Rows weights(kLossTerms, 1.0f);
  weights[0] = 3, weights[1] = 0.5f;
  const RowInputs with{{0}, {}, {}, weights};
  const Loss loss = loss_of(terms, {kLog3, 0}, {kLog3, 0}, with);
  EXPECT_NEAR(loss.total, 1.726092, 1e-6);  // equal rows: no kl
  EXPECT_NEAR(loss.terms[0], 0.287682, 1e-6);
  expect_gradient(loss, {-1.5, 1.5});
  const Loss apart = loss_of(terms, {0, 0}, {kLog3, 0}, with);
  EXPECT_NEAR(apart.total, 6 * 0.693147 + 0.5 * 0.130812, 1e-5);
}

// T = 0.05 and differences of 100: exponents of 2000, probabilities that vanish in float64 too.
TEST(PairTermsGolden, FiniteWhereProbabilitiesVanish) {
  for (const TermDef* def : all_terms()) {
    if (!def->is_row_term()) continue;
    std::map<std::string, double> params;
    for (const TermParam& param : def->params) {
      if (param.name == "temperature") params["temperature"] = 0.05;
    }
    const Loss loss =
        loss_of({{std::string(def->name), 1, params}}, {50, -50, 0.5f}, {-50, 50, 50.5f}, {1});
    EXPECT_TRUE(std::isfinite(loss.total)) << def->name;
    for (const float g : loss.gradient) EXPECT_TRUE(std::isfinite(g)) << def->name;
  }
  // js of (50, -50) and (-50, 50), T = 0.05: T^2 / 2 (2000 + 2000) = 5.
  const std::vector<TermSpec> js{{"js", 1, {{"temperature", 0.05}}}};
  EXPECT_NEAR(loss_of(js, {50, -50}, {-50, 50}, {-1}).total, 5, 1e-4);
}

}  // namespace
}  // namespace kd
