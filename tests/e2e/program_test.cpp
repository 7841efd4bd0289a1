// The programs as users run them: exit codes, interrupts, a full disk, names of what is wrong.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "core/file.h"
#include "kd/backend.h"
#include "support/process.h"
#include "support/small_task.h"

namespace kd {
namespace {

namespace fs = std::filesystem;
using test::Finished;
using Words = std::vector<std::string>;

class ProgramTest : public testing::Test {
 protected:
  Words training(const std::string& output, const Words& more = {}) const {
    Words words{"--student",    task_.at("student.json"),
                "--data",       task_.at("data"),
                "--output",     task_.at(output),
                "--batch-size", "8",
                "--threads",    "1",
                "--flip",       "0.5"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  size_t epochs_written(const std::string& name) const {
    std::ifstream file(task_.at(name) / "metrics.jsonl");
    size_t count = 0;
    for (std::string line; std::getline(file, line);) ++count;
    return count;
  }
  void wait_for_epochs(const std::string& name, size_t count) const {
    for (int i = 0; i < 2000 && epochs_written(name) < count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_GE(epochs_written(name), count) << "the run did not get going";
  }
  void says(const Words& words, int code, const std::string& part) const {
    const Finished finished = test::run("kdengine", words);
    EXPECT_EQ(finished.code, code) << finished.text;
    EXPECT_NE(finished.text.find(part), std::string::npos) << finished.text;
    EXPECT_EQ(finished.text.find("internal error"), std::string::npos) << finished.text;
  }
  test::SmallTask task_;
};

TEST_F(ProgramTest, AnInterruptedRunContinuesToTheSameBytes) {
  const Words length{"--epochs", "60"};
  ASSERT_EQ(test::run("kdengine", training("whole", length)).code, 0);
  for (const auto& [number, code] :
       std::vector<std::pair<int, int>>{{SIGINT, 130}, {SIGTERM, 143}, {SIGKILL, 137}}) {
    const std::string name = "cut" + std::to_string(number);
    test::Process process("kdengine", training(name, length));
    wait_for_epochs(name, 3);
    process.signal(number);
    EXPECT_EQ(process.wait().code, code);
    EXPECT_LT(epochs_written(name), 60u) << "too late to interrupt";
    Words resume = training(name, length);
    resume.emplace_back("--resume");
    const Finished finished = test::run("kdengine", resume);
    EXPECT_EQ(finished.code, 0) << finished.text;
    EXPECT_EQ(task_.last(name), task_.last("whole"));
    EXPECT_EQ(epochs_written(name), 60u) << "each epoch once";
  }
}

TEST_F(ProgramTest, AFullDiskIsNamedAndLeavesNothingHalfWritten) {
  const Finished finished = test::run("kdengine", training("full", {"--epochs", "2"}), 3000);
  EXPECT_EQ(finished.code, 2) << finished.text;
  EXPECT_NE(finished.text.find("can't be written"), std::string::npos) << finished.text;
  for (const auto& entry : fs::recursive_directory_iterator(task_.at("full"))) {
    const std::string name = entry.path().filename();
    EXPECT_FALSE(name.ends_with(".partial") || name.ends_with(".bin") ||
                 name.ends_with(".safetensors"))
        << name;
  }
}

TEST_F(ProgramTest, ExitCodesAreThoseOfTheHelp) {
  const Finished help = test::run("kdengine", {"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_NE(help.text.find("130/143"), std::string::npos);
  says(training("x", {"--epoch", "3"}), 1, "--epochs");
  says(training("x", {"--epochs", "three"}), 1, "three");
  says(training("x", {"--lr", "nan"}), 1, "--lr");
  says(training("x", {"--sched", "cosin"}), 1, "did you mean 'cosine'?");
  says({"--student", "/nowhere.json", "--data", task_.at("data"), "--output", task_.at("x")}, 2,
       "/nowhere.json");
  says(training("x", {"--teacher", "/nowhere.bin"}), 2, "/nowhere.bin");
  says({"--student", task_.at("student.json"), "--data", task_.at("data"), "--output", "/proc/x",
        "--batch-size", "8"},
       2, "/proc/x");
  says({"eval", "--model", task_.at("student.json"), "--data", task_.at("data")}, 2,
       "student.json");
  says({"evl"}, 1, "evl");
  EXPECT_FALSE(fs::exists(task_.at("x"))) << "a refused run leaves no folder";
}

// Whether this build has a CUDA engine or not.
TEST_F(ProgramTest, WithoutAGpuTheReasonIsNamedAndAutoTakesTheCpu) {
  if (why_unavailable(Device::cuda).empty()) GTEST_SKIP() << "there is a GPU";
  says(training("x", {"--device", "cuda"}), 3, "use --device cpu");
  EXPECT_FALSE(fs::exists(task_.at("x")));
  says(training("y", {"--device", "auto", "--epochs", "1"}), 0, "device: cpu (");
  says(training("z", {"--device", "cpu", "--precision", "fp16"}), 1, "computes in fp32");
  says(training("z", {"--device", "cpu", "--pipeline", "graph"}), 1, "can't record a step");
}

TEST_F(ProgramTest, ATeacherWithAnotherClassCountIsRefused) {
  fs::create_directories(task_.at("other"));
  for (const char* split : {"train", "val"}) {
    fs::copy(task_.at("data") / split, task_.at("other") / split, fs::copy_options::recursive);
    fs::copy(task_.at("data") / split / "blue", task_.at("other") / split / "green",
             fs::copy_options::recursive);
  }
  Words three = training("three", {"--epochs", "1"});
  three[3] = task_.at("other");
  ASSERT_EQ(test::run("kdengine", three).code, 0);
  // Names decide: a teacher of more classes teaches those that are asked for, one of fewer can't.
  const std::string of_three = task_.at("three") / "best.bin";
  EXPECT_EQ(test::run("kdengine", training("some", {"--epochs", "1", "--teacher", of_three})).code,
            0);
  ASSERT_EQ(test::run("kdengine", training("two", {"--epochs", "1"})).code, 0);
  const std::string of_two = task_.at("two") / "best.bin";
  Words more = training("x", {"--teacher", of_two});
  more[3] = task_.at("other");
  says(more, 2, "the teacher does not know the class 'green'");
  EXPECT_FALSE(fs::exists(task_.at("x")));
}

TEST_F(ProgramTest, TheWholeJob) {
  ASSERT_EQ(test::run("kdengine", training("teacher", {"--epochs", "4"})).code, 0);
  const std::string teacher = task_.at("teacher") / "best.bin";
  const Finished distilled =
      test::run("kdengine", training("student", {"--epochs", "4", "--teacher", teacher}));
  ASSERT_EQ(distilled.code, 0) << distilled.text;
  EXPECT_NE(distilled.text.find("teacher: top-1"), std::string::npos) << distilled.text;
  const std::string model = task_.at("student") / "best.bin";
  const Finished eval =
      test::run("kdengine", {"eval", "--model", model, "--data", task_.at("data")});
  EXPECT_EQ(eval.code, 0);
  EXPECT_NE(eval.text.find("20 pictures"), std::string::npos) << eval.text;
  const Finished predict = test::run(
      "kdengine",
      {"predict", "--model", model, task_.at("data") / "val" / "blue" / "picture100.png"});
  EXPECT_EQ(predict.code, 0);
  EXPECT_NE(predict.text.find("%  blue"), std::string::npos) << predict.text;
  const Finished plan = test::run("kdengine", training("plan", {"--dry-run"}));
  EXPECT_EQ(plan.code, 0) << plan.text;
  for (const char* word : {"parameters", "GFLOP", "memory", "steps"}) {
    EXPECT_NE(plan.text.find(word), std::string::npos) << word << "\n" << plan.text;
  }
  EXPECT_FALSE(fs::exists(task_.at("plan")));
}

}  // namespace
}  // namespace kd
