// Whole runs on a small task: learning, the same bytes whatever the workers or interruptions,
// honest refusals.
#include <gtest/gtest.h>

#include <fstream>

#include "core/file.h"
#include "kd/error.h"
#include "kd/trainer.h"
#include "support/small_task.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

class TrainTest : public testing::Test {
 protected:
  RunConfig config(const std::string& name) const {
    RunConfig c = task_.config(name);
    c.epochs = 3;
    c.pad_crop = 1;
    c.flip = 0.5;
    c.threads = 2;
    return c;
  }
  std::string message(const RunConfig& c) const {
    try {
      train(c, {});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  fs::path folder() const { return task_.at(""); }
  test::SmallTask task_;
};

TEST_F(TrainTest, Learns) {
  const RunSummary summary = train(config("a"), {});
  EXPECT_GE(summary.best_top1, 90);
  for (const char* file : {"best.bin", "last.bin", "metrics.jsonl", "run.json"}) {
    EXPECT_TRUE(fs::exists(folder() / "a" / file)) << file;
  }
}

TEST_F(TrainTest, SameSeedSameBytesWhateverTheWorkers) {
  train(config("a"), {});
  RunConfig other = config("b");
  other.workers = 4;
  other.prefetch = 1;
  train(other, {});
  EXPECT_EQ(task_.last("a"), task_.last("b"));
  RunConfig seeded = config("c");
  seeded.seed = 1;
  train(seeded, {});
  EXPECT_NE(task_.last("a"), task_.last("c"));
}

TEST_F(TrainTest, InterruptedAndResumedIsTheSame) {
  train(config("a"), {});
  int steps = 0;
  Watcher stop_in_the_second_epoch;
  stop_in_the_second_epoch.step = [&](const StepReport&) { ++steps; };
  stop_in_the_second_epoch.stop = [&] { return steps >= 8; };
  RunConfig broken = config("b");
  EXPECT_TRUE(train(broken, stop_in_the_second_epoch).interrupted);
  broken.resume = true;
  EXPECT_FALSE(train(broken, {}).interrupted);
  EXPECT_EQ(task_.last("a"), task_.last("b"));
}

TEST_F(TrainTest, TheTeacherIsUsedAndLeftAlone) {
  train(config("teacher"), {});
  RunConfig distil = config("distilled");
  distil.teacher = {(folder() / "teacher" / "best.bin").string()};
  const std::string before = hash_file(distil.teacher[0]);
  const RunSummary summary = train(distil, {});
  EXPECT_GE(summary.teacher_top1, 90);
  EXPECT_EQ(hash_file(distil.teacher[0]), before);
  train(config("alone"), {});
  EXPECT_NE(task_.last("distilled"), task_.last("alone"));
  distil.output = (folder() / "gate").string();
  distil.teacher_min_top1 = 100;
  if (summary.teacher_top1 < 100) {
    EXPECT_NE(message(distil).find("--teacher-min-top1"), std::string::npos);
    EXPECT_FALSE(fs::exists(distil.output));
  }
}

TEST_F(TrainTest, RefusesByName) {
  const auto says = [&](const RunConfig& c, const std::string& part) {
    const std::string text = message(c);
    EXPECT_NE(text.find(part), std::string::npos) << text;
    EXPECT_FALSE(fs::exists(fs::path(c.output) / "last.bin"));
  };
  RunConfig c = config("x");
  c.epochs = 0;
  says(c, "--epochs is 0");
  c = config("x");
  c.sched = "cosin";
  says(c, "did you mean 'cosine'?");
  c = config("x");
  c.loss = "kl=1";
  says(c, "needs a teacher");
  c = config("x");
  c.loss = "ce=-1";
  says(c, "weight -1");
  c = config("x");
  c.loss = "cee=1";
  says(c, "unknown loss term 'cee'");
  c = config("x");
  c.lr = -1;
  says(c, "--lr is -1");
  c = config("x");
  c.batch_size = 1000;
  says(c, "do not fill one batch");
  c = config("x");
  c.data = "/nowhere";
  says(c, "/nowhere");
  c = config("x");
  c.student = "/nowhere.json";
  says(c, "/nowhere.json");
  c = config("x");
  c.teacher = {"/nowhere.bin"};
  says(c, "/nowhere.bin");
  c = config("x");
  c.device = "gpu";
  says(c, "--device is 'gpu'");
  c = config("x");
  c.opt = "nesterov";
  c.momentum = 0;
  says(c, "needs --momentum");
  c = config("x");
  c.flip = 2;
  says(c, "--flip is 2");
  c = config("x");
  c.output = "/proc/run";
  says(c, "can't be");
  c = config("x");
  c.resume = true;
  says(c, "no checkpoint");
  fs::create_directories(folder() / "data" / "train" / "empty");
  says(config("x"), "holds no pictures");
}

TEST_F(TrainTest, AnUnreadablePictureStopsUnlessAllowed) {
  std::ofstream(folder() / "data" / "train" / "blue" / "torn.png") << "not a picture";
  EXPECT_NE(message(config("a")).find("torn.png"), std::string::npos);
  RunConfig lenient = config("b");
  lenient.max_bad_images = 1;
  EXPECT_EQ(message(lenient), "no error");
}

TEST_F(TrainTest, AConfigFileSaysTheSameAsFlags) {
  const fs::path file = folder() / "run.json";
  write_file(file, R"({"epochs": 7, "weight-decay": 0.01, "sched": "cosine"})");
  RunConfig c;
  read_config(file, c);
  EXPECT_EQ(c.epochs, 7);
  EXPECT_EQ(c.sched, "cosine");
  write_file(file, R"({"epoch": 7})");
  try {
    read_config(file, c);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'epochs'?"), std::string::npos);
  }
  write_file(file, R"({"epochs": "ten"})");
  EXPECT_THROW(read_config(file, c), Error);
}

}  // namespace
}  // namespace kd
