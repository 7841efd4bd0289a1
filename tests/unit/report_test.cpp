// Scorecards: measures against values worked out by hand, and what is said of them.
#include <gtest/gtest.h>

#include <cmath>

#include "core/file.h"
#include "kd/error.h"
#include "kd/random.h"
#include "report/encode.h"
#include "report/metrics.h"
#include "support/fake_runs.h"
#include "support/support.h"

namespace kd {
namespace {

Tensor logits_of(const std::vector<std::vector<double>>& rows) {
  Tensor t = Tensor::host(
      {DType::f32, {static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows.front().size())}});
  float* to = t.as<float>();
  for (const auto& row : rows) {
    for (const double x : row) *to++ = static_cast<float>(x);
  }
  return t;
}
// Two classes, the first with probability p.
std::vector<double> odds(double p) { return {std::log(p / (1 - p)), 0}; }

ScoreInputs two_classes(const std::vector<double>& p, const std::vector<int>& labels) {
  std::vector<std::vector<double>> rows;
  for (const double x : p) rows.push_back(odds(x));
  ScoreInputs in;
  in.class_names = {"heads", "tails"};
  in.test = {labels, logits_of(rows), {}, {}};
  return in;
}

TEST(Metrics, CalibrationByHand) {
  // Confidences 0.9, 0.9 (bin 13), 0.6 (bin 9), 0.7 (bin 10); the second 0.9 and the 0.6 are wrong.
  const Scorecard card = score(two_classes({0.9, 0.9, 0.6, 0.3}, {0, 1, 1, 1}));
  const Calibration& c = card.student.raw;
  EXPECT_DOUBLE_EQ(card.student.top1, 50);
  EXPECT_DOUBLE_EQ(card.student.top5, 100);
  EXPECT_NEAR(c.nll, -(std::log(0.9) + std::log(0.1) + std::log(0.4) + std::log(0.7)) / 4, 1e-6);
  EXPECT_NEAR(c.brier, (2 * 0.01 + 2 * 0.81 + 2 * 0.36 + 2 * 0.09) / 4, 1e-6);
  EXPECT_NEAR(c.ece, 100 * (0.5 * 0.4 + 0.25 * 0.6 + 0.25 * 0.3), 1e-5);
  EXPECT_EQ(c.bins[13].count, 2);
  EXPECT_NEAR(c.bins[13].confidence, 0.9, 1e-6);
  EXPECT_DOUBLE_EQ(c.bins[13].accuracy, 0.5);
  EXPECT_EQ(c.bins[10].count, 1);
  EXPECT_FALSE(card.student.temperature) << "no dev split";
  EXPECT_EQ(card.confusion, (std::vector<int64_t>{1, 0, 2, 1}));
  EXPECT_DOUBLE_EQ(*card.student.class_top1[0], 100);
  ASSERT_EQ(card.worst.size(), 1u) << "a class without mistakes is not among the worst";
  ASSERT_EQ(card.worst[0].mistakes.size(), 2u);
  EXPECT_EQ(card.worst[0].mistakes[0].sample_id, 1) << "the most confident first";
  EXPECT_NEAR(card.worst[0].mistakes[0].confidence, 0.9, 1e-6);
}

TEST(Metrics, CertaintyLiesInTheLastBinAndEqualLogitsAreNoHit) {
  const Tensor sure = logits_of({{200, -200}, {0, 0}});
  const std::vector<int> labels{0, 0};
  const Calibration c = calibration(LogitRows(sure), labels, 1);
  EXPECT_EQ(c.bins[14].count, 1);
  EXPECT_DOUBLE_EQ(c.bins[14].accuracy, 1);
  EXPECT_EQ(c.bins[7].count, 1) << "confidence 0.5";
  EXPECT_DOUBLE_EQ(c.bins[7].accuracy, 0);
  EXPECT_TRUE(std::isfinite(c.nll));
}

TEST(Metrics, TheTemperatureOfSyntheticLogitsIsFound) {
  // Labels drawn from softmax(z); the model answers 2.5 z.
  constexpr int64_t kRows = 20000, kClasses = 4;
  Tensor logits = Tensor::host({DType::f32, {kRows, kClasses}});
  std::vector<int> labels;
  for (int64_t i = 0; i < kRows; ++i) {
    RandomSequence random(3, Purpose::init, 0, static_cast<uint64_t>(i));
    const auto uniform = [&] { return static_cast<double>(random.below(1 << 24)) / (1 << 24); };
    float* row = logits.as<float>() + i * kClasses;
    for (int64_t k = 0; k < kClasses; ++k) row[k] = static_cast<float>(4 * uniform());
    const std::vector<double> log_p = log_softmax({row, kClasses});
    double left = uniform();
    int label = 0;
    while (label < kClasses - 1 && (left -= std::exp(log_p[static_cast<size_t>(label)])) > 0)
      ++label;
    labels.push_back(label);
    for (int64_t k = 0; k < kClasses; ++k) row[k] *= 2.5F;
  }
  const LogitRows rows(logits);
  const double t = fit_temperature(rows, labels);
  EXPECT_NEAR(t, 2.5, 0.1);
  const double best = calibration(rows, labels, t).nll;
  for (const double other : {0.98 * t, 1.02 * t})
    EXPECT_LT(best, calibration(rows, labels, other).nll);
  EXPECT_LT(calibration(rows, labels, t).ece, 1.5);
}

TEST(Metrics, ATemperatureWithoutAnEndStopsAtItsBounds) {
  const std::vector<int> right{0}, wrong{1};
  const Tensor one = logits_of({{3, 0}}), flat = logits_of({{0, 0}});
  EXPECT_NEAR(fit_temperature(LogitRows(one), right), 0.01, 1e-9);
  EXPECT_NEAR(fit_temperature(LogitRows(one), wrong), 100, 1e-9);
  EXPECT_TRUE(std::isfinite(fit_temperature(LogitRows(flat), right)));
}

TEST(Metrics, AgreementKlAndGapByHand) {
  ScoreInputs in = two_classes({0.8, 0.4}, {0, 0});
  in.test.teacher = logits_of({odds(0.5), odds(0.9)});
  const Scorecard card = score(in);
  EXPECT_DOUBLE_EQ(*card.agreement, 50) << "of equal logits the first counts as the answer";
  const double first = 0.5 * std::log(0.5 / 0.8) + 0.5 * std::log(0.5 / 0.2);
  const double second = 0.9 * std::log(0.9 / 0.4) + 0.1 * std::log(0.1 / 0.6);
  EXPECT_NEAR(*card.kl, (first + second) / 2, 1e-6);
  EXPECT_FALSE(card.gap_closed) << "no baseline";
  EXPECT_DOUBLE_EQ(*gap_closed(92, 94, 90), 0.5);
  EXPECT_DOUBLE_EQ(*gap_closed(89, 94, 90), -0.25);
  EXPECT_FALSE(gap_closed(92, 90, 90));
  EXPECT_FALSE(gap_closed(92, 89, 90));
}

TEST(Score, OnlyTheTemperatureSeesTheDevSplit) {
  test::FakeRun run;
  const Scorecard with = score(test::fake_logits(run));
  run.dev = false;
  const Scorecard without = score(test::fake_logits(run));
  EXPECT_EQ(with.student.top1, without.student.top1);
  EXPECT_EQ(with.student.raw.ece, without.student.raw.ece);
  EXPECT_GT(*with.student.temperature, 1) << "its logits were sharpened";
  EXPECT_LT(with.student.fitted->ece, with.student.raw.ece);
  EXPECT_FALSE(without.student.fitted || without.student.temperature);
}

TEST(Score, WhatDoesNotFitIsNamed) {
  const auto says = [](const ScoreInputs& in, const std::string& part) {
    try {
      score(in);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  ScoreInputs in = two_classes({0.9}, {2});
  says(in, "label of the test split is 2");
  in = two_classes({0.9}, {0});
  in.test.student.as<float>()[1] = NAN;
  says(in, "student's logit of class 1 for picture 0 is nan");
  in = two_classes({0.9}, {0});
  in.test.teacher = logits_of({{1, 2, 3}});
  says(in, "teacher's logits are f32 (1, 3), not f32 (1, 2)");
  says(ScoreInputs{}, "0 test pictures");
}

TEST(ScorecardJson, ComesBackTheSame) {
  Scorecard card = score(test::fake_logits({}));
  card.student_cost = {272474, 81.6e6, 1.84, {}, 4096};
  card.teacher_train_top1 = 99.5;
  card.class_names[3] = "cat </script> \" \\ \n é";
  const std::string text = scorecard_to_json(card);
  const Scorecard back = scorecard_from_json(text, "card");
  EXPECT_EQ(scorecard_to_json(back), text);
  EXPECT_EQ(back.class_names, card.class_names);
  EXPECT_EQ(back.confusion, card.confusion);
  EXPECT_EQ(back.worst[0].mistakes[0].png, card.worst[0].mistakes[0].png);
  EXPECT_FALSE(back.student_cost.images_per_second);
  EXPECT_EQ(*back.student_cost.peak_memory_bytes, 4096);
}

TEST(ScorecardJson, IsReadStrictlyAndNeverHoldsWhatIsNotFinite) {
  Scorecard card = score(test::fake_logits({}));
  const std::string text = scorecard_to_json(card);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string copy = text;
    return copy.replace(copy.find(from), from.size(), to);
  };
  EXPECT_THROW(scorecard_from_json(changed("\"kl\"", "\"kll\""), "card"), Error);
  EXPECT_THROW(scorecard_from_json(changed("\"version\":1", "\"version\":2"), "card"), Error);
  EXPECT_THROW(scorecard_from_json(changed("\"label\":", "\"label\":7"), "card"), Error);
  EXPECT_THROW(scorecard_from_json(changed("\"iVBOR", "\"?VBOR"), "card"), Error);
  card.kl = NAN;
  EXPECT_THROW(scorecard_to_json(card), Error);
  card.kl = 1;
  card.student_cost.latency_ms = INFINITY;
  EXPECT_THROW(scorecard_to_json(card), Error);
}

TEST(Encode, Base64OfTheStandard) {
  const auto bytes = [](std::string_view s) {
    return std::vector<std::byte>(reinterpret_cast<const std::byte*>(s.data()),
                                  reinterpret_cast<const std::byte*>(s.data()) + s.size());
  };
  for (const auto& [plain, coded] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}}) {
    EXPECT_EQ(to_base64(bytes(plain)), coded);
    EXPECT_EQ(from_base64(coded, "x"), bytes(plain));
  }
  for (const char* bad : {"Zg", "Z===", "Zg=a", "Z*=="}) EXPECT_THROW(from_base64(bad, "x"), Error);
}

TEST(Encode, NothingHostileIsLeft) {
  EXPECT_EQ(escape("<b a='1'>\"&"), "&lt;b a=&#39;1&#39;&gt;&quot;&amp;");
  EXPECT_EQ(escape("caf\xC3\xA9 \xF0\x9F\x90\xB1"), "caf\xC3\xA9 \xF0\x9F\x90\xB1");
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(escape("a\xFF"), "a" + bad);
  EXPECT_EQ(escape("\xC0\x80"), bad + bad) << "overlong";
  EXPECT_EQ(escape("\xED\xA0\x80"), bad + bad + bad) << "a surrogate";
  EXPECT_EQ(escape("\xE2\x82"), bad + bad) << "cut off";
  EXPECT_EQ(escape(std::string("a\0b\x1B", 4)), "a" + bad + "b" + bad);
  EXPECT_EQ(escape("\xEF\xBF\xBF"), bad);
}

}  // namespace
}  // namespace kd
