// Runs with kept logits end as runs with the teacher do; what does not belong together is refused.
#include "distill/teacher_cache.h"

#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "core/file.h"
#include "distill/cache_filling.h"
#include "kd/error.h"
#include "support/process.h"
#include "support/small_task.h"

namespace kd {
namespace {

class TeacherCacheTest : public testing::Test {
 protected:
  TeacherCacheTest() {
    RunConfig teacher = config("teacher");
    teacher.teacher.clear();
    teacher.views = 0;
    teacher.epochs = 2;
    teacher.scorecard = false;
    train(teacher, {});
  }
  RunConfig config(const std::string& name, const std::string& cache = "") const {
    RunConfig c = task_.config(name);
    c.teacher = {task_.at("teacher") / "best.bin"};
    c.epochs = 5;
    c.pad_crop = 1;
    c.flip = 0.5;
    c.views = 2;
    c.threads = 1;
    c.scorecard = false;
    if (!cache.empty()) c.teacher_cache = task_.at(cache);
    return c;
  }
  std::string last(const RunConfig& c) const {
    train(c, {});
    return hash_file(std::filesystem::path(c.output) / "last.bin");
  }
  static std::string refusal(const RunConfig& c) {
    try {
      fill_cache(c, {});
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }
  test::SmallTask task_;
};

TEST_F(TeacherCacheTest, LiveAndKeptEndInTheSameBytes) {
  for (const char* mode : {"serial", "streams"}) {
    const auto with = [&](const std::string& name, const std::string& cache) {
      RunConfig c = config(name + mode, cache);
      c.pipeline = mode;
      return last(c);
    };
    const std::string live = with("live", "");
    EXPECT_EQ(with("filling", "kept"), live) << mode;
    EXPECT_EQ(with("replayed", "kept"), live) << mode;
    fill_cache(config("ahead", "ahead"), {});
    EXPECT_EQ(with("ahead", "ahead"), live) << mode;
  }
}

TEST_F(TeacherCacheTest, AFullCacheRunsNoTeacher) {
  const RunConfig c = config("x", "kept");
  fill_cache(c, {});
  kd::Setup setup = set_up(c, {});
  TeacherCache cache(setup, c, 0);
  EXPECT_EQ(cache.files()[0].count().present, 2 * 48);
  Loader loader(setup.data.train, training_options(setup, c));
  std::vector<float> logits(8 * 2);
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    loader.start(epoch);
    while (const Batch* batch = loader.next()) cache.logits(*batch, epoch, 0, logits.data());
  }
  EXPECT_EQ(cache.teacher_runs(), 0);
  EXPECT_NO_THROW(verify_cache(c, {}));
}

TEST_F(TeacherCacheTest, SeveralTeachersOneFileEach) {
  const auto two = [&](const std::string& name, const std::string& cache) {
    RunConfig c = config(name, cache);
    c.teacher.push_back(c.teacher[0]);
    c.teacher_weights = {0.3, 0.7};
    return last(c);
  };
  EXPECT_EQ(two("kept", "cache"), two("live", ""));
  EXPECT_TRUE(std::filesystem::exists(task_.at("cache") / "teacher_1.logits"));
}

TEST_F(TeacherCacheTest, HalvesAreCloseAndDependOnNothingKeptBefore) {
  const auto loss = [](const RunConfig& c) {
    double of_last_epoch = 0;
    Watcher watcher;
    watcher.epoch = [&](const EpochReport& report) { of_last_epoch = report.train_loss; };
    train(c, watcher);
    return of_last_epoch;
  };
  const auto halves = [&](const std::string& name) {
    RunConfig c = config(name, "cache");
    c.cache_format = "fp16";
    return c;
  };
  const double live = loss(config("live")), kept = loss(halves("first"));
  EXPECT_NEAR(kept, live, 1e-3 * live);
  EXPECT_NE(kept, live) << "nothing was rounded";
  EXPECT_EQ(last(halves("second")), hash_file(task_.at("first") / "last.bin"));
}

TEST_F(TeacherCacheTest, AResumedRunEndsInTheSameBytes) {
  const std::string live = last(config("live"));
  RunConfig c = config("cut", "cache");
  int steps = 0;
  Watcher stop;
  stop.step = [&](const StepReport&) { ++steps; };
  stop.stop = [&] { return steps >= 9; };
  EXPECT_TRUE(train(c, stop).interrupted);
  c.resume = true;
  EXPECT_EQ(last(c), live);
}

TEST_F(TeacherCacheTest, MismatchesAreRefusedByName) {
  const RunConfig right = config("x", "cache");
  ASSERT_EQ(refusal(right), "none");
  RunConfig other = config("other");
  other.teacher.clear();
  other.views = 0;
  other.epochs = 2;
  other.seed = 9;
  train(other, {});
  const std::vector<std::pair<std::string, std::function<void(RunConfig&)>>> changes{
      {"teacher weights changed",
       [&](RunConfig& c) { c.teacher = {task_.at("other") / "best.bin"}; }},
      {"seed changed", [](RunConfig& c) { c.seed = 5; }},
      {"views changed", [](RunConfig& c) { c.views = 3; }},
      {"data changed", [](RunConfig& c) { c.train_per_class = 20; }},
      {"pad-crop changed", [](RunConfig& c) { c.pad_crop = 2; }},
      {"random-resized-crop changed", [](RunConfig& c) { c.random_resized_crop = true; }},
      {"flip changed", [](RunConfig& c) { c.flip = 0.25; }},
      {"colour-jitter changed", [](RunConfig& c) { c.colour_jitter = 0.1; }},
      {"rand-augment changed", [](RunConfig& c) { c.rand_augment = 1; }},
      {"erasing changed", [](RunConfig& c) { c.erasing = 0.5; }},
      {"cache-format changed", [](RunConfig& c) { c.cache_format = "fp16"; }},
      {"batch-size changed", [](RunConfig& c) { c.batch_size = 4; }},
      {"engine changed", [](RunConfig& c) { c.threads = 2; }},
      {"tf32 changed", [](RunConfig& c) { c.teacher_precision = "tf32"; }},
  };
  for (const auto& [words, change] : changes) {
    RunConfig c = right;
    change(c);
    EXPECT_NE(refusal(c).find(words), std::string::npos) << words << ": " << refusal(c);
  }
  const auto preprocessed = [&](const std::function<void(Preprocess&)>& change) {
    Model model = load_model(right.teacher[0]);
    change(model.preprocess);
    save_model(model, task_.at("changed.bin"));
    RunConfig c = right;
    c.teacher = {task_.at("changed.bin")};
    return refusal(c);
  };
  EXPECT_NE(preprocessed([](Preprocess& p) { p.mean[0] = 0.5; }).find("teacher's mean changed"),
            std::string::npos);
  EXPECT_NE(preprocessed([](Preprocess& p) { p.std[0] = 0.5; }).find("teacher's std changed"),
            std::string::npos);
  EXPECT_EQ(refusal(right), "none");
}

TEST_F(TeacherCacheTest, WhatCanNotBeKeptIsRefused) {
  const auto says = [&](const std::string& part, const std::function<void(RunConfig&)>& change) {
    RunConfig c = config("x", "cache");
    change(c);
    EXPECT_NE(refusal(c).find(part), std::string::npos) << refusal(c);
  };
  says("needs --views N", [](RunConfig& c) { c.views = 0; });
  says("--mixup", [](RunConfig& c) { c.mixup = 0.2; });
  says("--cutmix", [](RunConfig& c) { c.cutmix = 1; });
  says("--teacher-mode train", [](RunConfig& c) { c.teacher_mode = "train"; });
  says("'sp' reads layers", [](RunConfig& c) { c.loss = "ce=1,sp=1"; });
  says("--cache-format is 'fp8'", [](RunConfig& c) { c.cache_format = "fp8"; });
}

TEST_F(TeacherCacheTest, KilledWhileFillingItLosesNothingThatWasWritten) {
  const RunConfig c = config("x", "cut");
  const std::vector<std::string> words{
      "cache", "--teacher",       c.teacher[0],    "--student",    c.student, "--data",
      c.data,  "--teacher-cache", c.teacher_cache, "--batch-size", "8",       "--views",
      "40",    "--flip",          "0.5",           "--threads",    "1"};
  int64_t before = 0, cut_short = 0;
  for (int kill = 0; kill < 50; ++kill) {
    test::Process process("kdengine", words);
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + 7 * kill % 60));
    process.signal(SIGKILL);
    process.wait();
    const auto path = task_.at("cut") / "teacher_0.logits";
    if (!std::filesystem::exists(path)) continue;
    const LogitFile::Count count = LogitFile::open(path).count();
    EXPECT_GE(count.present, before);
    EXPECT_LE(count.damaged, 1);
    cut_short += count.present > before && count.present < 40 * 48;
    before = count.present;
  }
  EXPECT_GT(cut_short, 0) << "no process was killed while it wrote";
  const test::Finished finished = test::run("kdengine", words);
  ASSERT_EQ(finished.code, 0) << finished.text;
  std::vector<std::string> whole = words;
  whole[8] = task_.at("whole");
  ASSERT_EQ(test::run("kdengine", whole).code, 0);
  EXPECT_EQ(hash_file(task_.at("cut") / "teacher_0.logits"),
            hash_file(task_.at("whole") / "teacher_0.logits"));
}

}  // namespace
}  // namespace kd
