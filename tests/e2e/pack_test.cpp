// kdpack as users run it: killed at any moment, interrupted, on a full disk; and training from what
// it makes.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "core/file.h"
#include "kd/random.h"
#include "support/cifar_job.h"
#include "support/jpeg_file.h"
#include "support/process.h"
#include "support/small_task.h"

namespace kd {
namespace {

namespace fs = std::filesystem;
using test::Finished;
using Words = std::vector<std::string>;

class PackProgramTest : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return task_.at(name).string(); }
  Finished train(const std::string& data, const std::string& output, const Words& more = {}) const {
    Words words{"--student",    at("student.json"),
                "--data",       data,
                "--output",     at(output),
                "--epochs",     "3",
                "--flip",       "0.5",
                "--pad-crop",   "1",
                "--threads",    "1",
                "--batch-size", "8"};
    words.insert(words.end(), more.begin(), more.end());
    return test::run("kdengine", words);
  }
  static void says(const Words& words, int code, const std::string& part) {
    const Finished finished = test::run("kdpack", words);
    EXPECT_EQ(finished.code, code) << finished.text;
    EXPECT_NE(finished.text.find(part), std::string::npos) << finished.text;
    EXPECT_EQ(finished.text.find("internal error"), std::string::npos) << finished.text;
  }
  // Enough to take a while.
  void write_large() const {
    for (const char* name : {"a", "b"}) {
      fs::create_directories(task_.at("large") / name);
      for (int i = 0; i < 150; ++i) {
        save_png(test::scenery(150, 200, i),
                 task_.at("large") / name / (std::to_string(1000 + i) + ".png"));
      }
    }
  }
  test::SmallTask task_;
};

TEST_F(PackProgramTest, TrainsAsItsFolderDoes) {
  says({at("data"), "-o", at("set.kdp")}, 0, "68 pictures");
  says({at("set.kdp"), "--verify"}, 0, "all as they were packed");
  for (const Words& more : {Words{}, Words{"--dev-split", "0.25", "--rand-augment", "2"}}) {
    const Finished folder = train(at("data"), "folder", more);
    ASSERT_EQ(folder.code, 0) << folder.text;
    const Finished packed = train(at("set.kdp"), "packed", more);
    ASSERT_EQ(packed.code, 0) << packed.text;
    EXPECT_EQ(task_.last("packed"), task_.last("folder"));
    fs::remove_all(at("folder"));
    fs::remove_all(at("packed"));
  }
  ASSERT_EQ(train(at("set.kdp"), "packed").code, 0);
  const Finished eval = test::run(
      "kdengine", {"eval", "--model", at("packed") + "/best.bin", "--data", at("set.kdp")});
  EXPECT_EQ(eval.code, 0);
  EXPECT_NE(eval.text.find("20 pictures"), std::string::npos) << eval.text;
}

TEST_F(PackProgramTest, TrainsAsItsFolderDoesOnRealPictures) {
  const auto cifar = test::cifar_folder();
  if (!cifar) GTEST_SKIP() << "no real data";
  says({cifar->data.string(), "-o", at("cifar.kdp")}, 0, "pictures");
  const auto run = [&](const std::string& data, const std::string& output) {
    return test::run(
        "kdengine",
        {"--student", std::string(KD_SOURCE_DIR) + "/models/cifar_resnet20.json", "--teacher",
         cifar->teacher.string(), "--data", data, "--output", at(output), "--epochs", "1",
         "--train-per-class", "16", "--batch-size", "32", "--pad-crop", "4", "--flip", "0.5"});
  };
  const Finished folder = run(cifar->data.string(), "folder");
  ASSERT_EQ(folder.code, 0) << folder.text;
  const Finished packed = run(at("cifar.kdp"), "packed");
  ASSERT_EQ(packed.code, 0) << packed.text;
  EXPECT_EQ(task_.last("packed"), task_.last("folder"));
}

TEST_F(PackProgramTest, KilledAtRandomMomentsItEndsWithTheSameBytes) {
  write_large();
  const Words whole{at("large"), "-o", at("whole.kdp"), "--workers", "1"};
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_EQ(test::run("kdpack", whole).code, 0);
  const auto took = std::chrono::steady_clock::now() - begun;
  const Words cut{at("large"), "-o", at("cut.kdp"), "--workers", "1"};
  RandomSequence random(static_cast<uint64_t>(took.count()), Purpose::init, 0, 0);
  int killed = 0, continued = 0;
  for (int i = 0; i < 60; ++i) {
    test::Process process("kdpack", cut);
    std::this_thread::sleep_for(took * random.uniform(0.05, 0.4));
    process.signal(SIGKILL);
    const Finished finished = process.wait();
    continued += finished.text.find("continued after") != std::string::npos;
    if (finished.code == 0) break;
    EXPECT_EQ(finished.code, 137) << finished.text;
    EXPECT_FALSE(fs::exists(at("cut.kdp"))) << "not before it is whole";
    ++killed;
  }
  EXPECT_EQ(test::run("kdpack", cut).code, 0);
  EXPECT_GT(killed, 0);
  EXPECT_GT(continued, 0);
  EXPECT_EQ(hash_file(at("cut.kdp")), hash_file(at("whole.kdp")));
}

TEST_F(PackProgramTest, InterruptedItSaysHowToContinue) {
  write_large();
  const Words words{at("large"), "-o", at("set.kdp"), "--workers", "1"};
  for (const int number : {SIGINT, SIGTERM}) {
    test::Process process("kdpack", words);
    for (int i = 0; i < 1000 && (!fs::exists(at("set.kdp.journal.partial")) ||
                                 fs::file_size(at("set.kdp.journal.partial")) < 1000);
         ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    process.signal(number);
    const Finished finished = process.wait();
    EXPECT_EQ(finished.code, 128 + number) << finished.text;
    EXPECT_NE(finished.text.find("the same command continues"), std::string::npos) << finished.text;
    fs::remove(at("set.kdp.journal.partial"));
  }
  says(words, 0, "300 pictures");
}

TEST_F(PackProgramTest, AFullDiskIsNamedAndLeavesNothingUnderTheName) {
  write_large();
  const Finished finished =
      test::run("kdpack", {at("large"), "-o", at("set.kdp")}, size_t{8} << 20);
  EXPECT_EQ(finished.code, 2) << finished.text;
  EXPECT_NE(finished.text.find("can't be written"), std::string::npos) << finished.text;
  EXPECT_FALSE(fs::exists(at("set.kdp")));
  says({at("large"), "-o", at("set.kdp")}, 0, "continued after");
}

TEST_F(PackProgramTest, ExitCodesAreThoseOfTheHelp) {
  says({"--help"}, 0, "--keep-jpeg");
  says({at("data")}, 1, "--output is missing");
  says({at("data"), "-o", at("x"), "--size", "0"}, 1, "--size");
  says({at("data"), "-o", at("x"), "--width", "8"}, 1, "go together");
  says({at("data"), "-o", at("x"), "--size", "8", "--keep-jpeg"}, 1, "nothing can be resized");
  says({at("data"), "-o", at("x"), "--sise", "8"}, 1, "--size");
  says({"/nowhere", "-o", at("x")}, 2, "/nowhere");
  says({at("data"), "-o", "/proc/x"}, 2, "/proc/x");
  says({at("student.json"), "--verify"}, 2, "not a packed set");
  EXPECT_FALSE(fs::exists(at("x")));
  EXPECT_FALSE(fs::exists(at("x.partial")));
}

}  // namespace
}  // namespace kd
