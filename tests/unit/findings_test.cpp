// Runs in groups, their means, and the findings: each situation is told in words.
#include <gtest/gtest.h>

#include <cmath>

#include "core/file.h"
#include "kd/error.h"
#include "report/charts.h"
#include "report/page.h"
#include "report/table.h"
#include "support/fake_runs.h"
#include "support/support.h"

namespace kd {
namespace {

// A run with these top-1; a negative one: none.
RunRecord run_with(double student, double teacher, double baseline, int64_t seed = 0) {
  RunRecord run;
  run.path = "runs/a";
  run.finished = true;
  run.config = {{"teacher", teacher < 0 ? "" : "t.bin"}, {"seed", seed}};
  Scorecard card;
  card.class_names = {"a", "b"};
  card.test_samples = 10000;
  card.dev_samples = 500;
  const auto model = [](double top1) {
    ModelScore s{top1, 100, {0.5, 0.3, 1, {}}, 1.0, Calibration{0.5, 0.3, 1, {}}, {top1, top1}};
    s.raw.bins.resize(kReliabilityBins);
    s.fitted->bins.resize(kReliabilityBins);
    return s;
  };
  card.student = model(student);
  if (teacher >= 0) card.teacher = model(teacher);
  if (baseline >= 0) card.baseline = model(baseline);
  card.confusion.resize(4);
  run.scorecard = card;
  return run;
}

std::string all_of(const RunGroup& group) {
  std::string text;
  for (const Finding& finding : findings(group)) text += finding.text + "\n";
  return text;
}
void says(const RunRecord& run, const std::string& part) {
  const std::string text = all_of({"runs/a", {run}});
  EXPECT_NE(text.find(part), std::string::npos) << part << " is not in:\n" << text;
}
void keeps_quiet(const RunRecord& run, const std::string& part) {
  const std::string text = all_of({"runs/a", {run}});
  EXPECT_EQ(text.find(part), std::string::npos) << text;
}

TEST(Findings, TheVerdict) {
  says(run_with(92, 94, 90), "Distillation gained 2.00 points");
  says(run_with(92, 94, 90), "50 % of that gap is closed");
  says(run_with(88, 94, 90), "Distillation lost: 2.00 points");
  says(run_with(88, 94, 90), "that gap grew by 50 %");
  says(run_with(90.1, 94, 90), "Within noise");
  says(run_with(92, 94, -1), "no baseline was trained");
  says(run_with(92, -1, -1), "Trained without a teacher");
  EXPECT_EQ(findings({"a", {run_with(92, 94, 90)}}).front().tone, Tone::good);
  EXPECT_EQ(findings({"a", {run_with(88, 94, 90)}}).front().tone, Tone::bad);
}

TEST(Findings, WithinTheSpreadOfTheSeedsIsNoise) {
  const RunGroup wide{"a",
                      {run_with(92, 94, 90, 0), run_with(88, 94, 90, 1), run_with(91, 94, 90, 2)}};
  EXPECT_NE(all_of(wide).find("Within noise"), std::string::npos) << all_of(wide);
  const RunGroup narrow{"a", {run_with(92, 94, 90, 0), run_with(91, 94, 89.5, 1)}};
  EXPECT_NE(all_of(narrow).find("gained 1.75"), std::string::npos) << all_of(narrow);
  EXPECT_NE(all_of(narrow).find("mean of 2 seeds, sd 0.35"), std::string::npos) << all_of(narrow);
}

TEST(Findings, AWorseTeacherAndAnEmptyGap) {
  says(run_with(92, 91, 90), "is worse than the student");
  says(run_with(92, 89, 90), "There is no gap to close");
  keeps_quiet(run_with(92, 94, 90), "is worse than");
}

TEST(Findings, UnderFittingSuggestsAnAssistantOfASize) {
  RunRecord run = run_with(70, 94, 69);
  run.scorecard->student_train_top1 = 72;
  run.scorecard->teacher_train_top1 = 99;
  run.scorecard->student_cost.parameters = 1e5;
  run.scorecard->teacher_cost.parameters = 1e7;
  says(run, "under-fits: 72.00 % on the training pictures, where the teacher has 99.00 % on them");
  says(run, "100.0 times its size: try an assistant of about 1.00 M parameters");
  run.scorecard->teacher_cost.parameters = 2e5;
  keeps_quiet(run, "assistant");
  run.scorecard->student_train_top1 = 98;
  keeps_quiet(run, "under-fits");
}

TEST(Findings, WithoutScoresOnTrainingPicturesTheCurveIsHeldAgainstTheTeachersTestTop1) {
  RunRecord run = run_with(70, 94, 69);
  run.curves = {{"train_top1", {{1, 40}, {2, 71}}}};
  says(run, "71.00 % on the training pictures, where the teacher has 94.00 % on pictures it never");
  run.curves = {{"train_top1", {{1, 40}, {2, 90}}}};
  keeps_quiet(run, "under-fits");
}

TEST(Findings, LowAgreementAtEqualAccuracy) {
  RunRecord run = run_with(90, 91, 88);
  run.scorecard->agreement = 82;
  says(run, "agree on only 82.0 %");
  run.scorecard->agreement = 92;
  keeps_quiet(run, "agree on only");
}

TEST(Findings, OverConfidenceWithItsCure) {
  RunRecord run = run_with(80, 94, 78);
  run.scorecard->student.raw.ece = 12;
  run.scorecard->student.raw.bins[13] = {10000, 0.92, 0.8};
  run.scorecard->student.temperature = 2.25;
  says(run, "Over-confident: mean confidence 92.0 %, right in 80.0 % (ECE 12.0 %)");
  says(run, "T = 2.25 brings the ECE to 1.0 %");
  run.scorecard->student.raw.bins[13].confidence = 0.68;
  says(run, "Under-confident");
}

TEST(Findings, ALossThatWasNotFinite) {
  RunRecord run = run_with(80, 94, 78);
  run.failure = Failure{417, "kl", "stage2.0.conv1", "student logits", {3, 14, 15}};
  says(run, "stopped being finite at step 417, in layer 'stage2.0.conv1', term 'kl'.");
  says(run, "the first bad tensor is 'student logits'. Pictures in that step: 3, 14, 15.");
  EXPECT_EQ(findings({"a", {run}}).front().tone, Tone::bad);
}

TEST(Findings, TheProtocol) {
  RunRecord run = run_with(92, 94, 90);
  says(run, "One seed says nothing");
  keeps_quiet(run, "No dev split");
  run.scorecard->dev_samples = 0;
  says(run, "picked on the test pictures themselves");
  run.finished = false;
  says(run, "Not finished");
  run.scorecard.reset();
  run.best_top1 = 91;
  says(run, "No scorecard.json");
}

TEST(Summary, MeanAndSdWithNMinusOne) {
  const Spread s = *spread({2.0, std::nullopt, 4.0, 9.0});
  EXPECT_EQ(s.count, 3);
  EXPECT_DOUBLE_EQ(s.mean, 5);
  EXPECT_DOUBLE_EQ(s.sd, std::sqrt((9 + 1 + 16) / 2.0));
  EXPECT_FALSE(spread({std::nullopt}));
  EXPECT_EQ(spread({1.0})->sd, 0);
}

class RunFolders : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return folder_.path() / name; }
  test::TemporaryFolder folder_;
};

TEST_F(RunFolders, SeedsOfOneConfigurationAreOneGroup) {
  for (const uint64_t seed : {0, 1, 2}) {
    test::write_fake_run({.epochs = 3, .seed = seed}, at("kl") + "/seed_" + std::to_string(seed));
    test::write_fake_run({.epochs = 3, .seed = seed, .loss = "dkd"},
                         at("dkd" + std::to_string(seed)));
  }
  const std::vector<RunGroup> groups = read_runs({at("kl"), at("dkd0"), at("dkd1"), at("dkd2")});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].runs.size(), 3u);
  EXPECT_EQ(groups[1].runs.size(), 3u);
  EXPECT_EQ(groups[0].name, "kl");
  EXPECT_EQ(groups[1].name, "dkd0");
  EXPECT_EQ(read_runs({at("kl") + "/"}).front().name, "kl");
  const Summary s = summarise(groups[0]);
  ASSERT_TRUE(s.gain && s.top1 && s.baseline_top1 && s.gap_closed);
  EXPECT_NEAR(s.gain->mean, s.top1->mean - s.baseline_top1->mean, 1e-9);
  EXPECT_GT(s.gain->sd, 0);
  EXPECT_EQ(groups[0].runs[0].curve("val_top1")->points.size(), 3u);
  const Json json = report_json(groups);
  EXPECT_EQ(json.at("groups").at(0).at("runs").size(), 3u);
  EXPECT_EQ(json.at("groups").at(0).at("summary").at("gain").at("count"), 3);
}

TEST_F(RunFolders, TheFailureOfARunIsRead) {
  test::write_fake_run({.epochs = 2, .scorecard = false}, at("a"));
  Json json = read_json(at("a") + "/run.json");
  const Failure failure{9, "ce", "", "loss", {5}};
  json["failure"] = parse_json(failure_to_json(failure), "x");
  write_file(at("a") + "/run.json", json.dump());
  const RunRecord run = read_run(at("a"));
  EXPECT_EQ(run.failure->step, 9);
  EXPECT_EQ(run.failure->sample_ids, std::vector<int64_t>{5});
  EXPECT_FALSE(run.scorecard);
  json["failure"]["stepp"] = 1;
  write_file(at("a") + "/run.json", json.dump());
  EXPECT_THROW(read_run(at("a")), Error);
  EXPECT_THROW(read_runs({at("nothing")}), Error);
}

TEST(Table, ColumnsAreAsWideAsTheirText) {
  const Table table{{{"run", "", 6}, {"top-1", "", 0}}, {{"é", "76.31 ± 0.22"}, {"longer", "–"}}};
  EXPECT_EQ(to_text(table), "run            top-1\né       76.31 ± 0.22\nlonger             –\n");
  EXPECT_EQ(cell(std::optional(1234567.0), 0), "1,234,567");
  EXPECT_EQ(cell(std::optional(-123.456), 1), "−123.5");
  EXPECT_EQ(signed_cell(Spread{3, 1.234, 0.1}, 2), "+1.23 ± 0.10");
  EXPECT_EQ(signed_cell(Spread{3, -1.234, 0.1}, 2), "−1.23 ± 0.10");
  EXPECT_EQ(cell(std::optional<Spread>(), 2), "–");
}

TEST(Charts, TicksCoverTheRange) {
  EXPECT_EQ(ticks(0, 1, 5), (std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}));
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{
           {0, 100}, {71.3, 74.9}, {-3, 1e-3}, {1e-6, 3e-6}, {1, 40}}) {
    const std::vector<double> at = ticks(low, high, 5);
    EXPECT_LE(at.front(), low + 1e-12);
    EXPECT_GE(at.back(), high - 1e-12);
    EXPECT_LE(at.size(), 9u);
    EXPECT_GE(at.size(), 3u);
  }
  EXPECT_EQ(tick_text(0.15, 0.05), "0.15");
  EXPECT_EQ(tick_text(20, 10), "20");
  EXPECT_EQ(tick_text(2e30, 1e30), "2e+30");
  EXPECT_EQ(tick_text(3e-6, 1e-6), "3e-06");
  EXPECT_EQ(tick_text(0, 1e30), "0");
  EXPECT_EQ(tick_text(-1e-17, 0.2), "0.0");
}

}  // namespace
}  // namespace kd
