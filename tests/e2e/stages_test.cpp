// Runs of several stages: what trains, what stays, what is kept when a run is interrupted anywhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "core/file.h"
#include "core/json.h"
#include "kd/error.h"
#include "kd/trainer.h"
#include "support/small_task.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

class StagesTest : public testing::Test {
 protected:
  StagesTest() {
    RunConfig teacher = plain("teacher");
    teacher.epochs = 2;
    train(teacher, {});
  }
  RunConfig plain(const std::string& name) const {
    RunConfig c = task_.config(name);
    c.epochs = 1;
    c.lr = 0.02;
    c.threads = 2;
    return c;
  }
  // An assistant, then features, distillation and fine-tuning of the student.
  RunConfig staged(const std::string& name) {
    write_file(task_.at("recipe.json"), R"({"stages": [
      {"name": "assistant", "epochs": 2, "assistant": ")" +
                                            task_.at("student.json").string() +
                                            R"(", "terms": [{"term": "kl"}]},
      {"name": "features", "use-teachers": [1],
       "terms": [{"term": "hint", "at": [["@1", "@1", 1]]}]},
      {"name": "distil", "epochs": 2, "ema": 0.5, "opt": "adamw", "lr": 0.003, "accumulate": 2,
       "terms": [{"term": "ce"}, {"term": "kl", "warmup": 2}, {"term": "attention", "weight": 10}]},
      {"name": "finetune", "freeze": ["layer1", "conv1", "bn1"], "new-head": true,
       "head-hidden": [6],
       "l2-start": 0.01, "max-norm": 3, "clip-norm": 1, "terms": [{"term": "ce"}]}]})");
    RunConfig c = plain(name);
    c.teacher = {task_.at("teacher/best.bin").string()};
    read_config(task_.at("recipe.json"), c);
    return c;
  }
  static bool same(const Tensor& a, const Tensor& b) {
    return a.desc() == b.desc() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
  }
  test::SmallTask task_;
};

TEST_F(StagesTest, InterruptedAnywhereTheBytesAreTheSame) {
  train(staged("whole"), {});
  for (const int stop_after : {3, 12, 15, 19, 27, 33}) {
    const std::string name = "torn_" + std::to_string(stop_after);
    RunConfig torn = staged(name);
    int steps = 0;
    Watcher watcher;
    watcher.step = [&](const StepReport&) { ++steps; };
    watcher.stop = [&] { return steps >= stop_after; };
    EXPECT_TRUE(train(torn, watcher).interrupted) << stop_after;
    torn.resume = true;
    EXPECT_FALSE(train(torn, {}).interrupted);
    EXPECT_EQ(task_.last(name), task_.last("whole"))
        << "interrupted after " << stop_after << " steps";
  }
}

TEST_F(StagesTest, EachStageLeavesItsMark) {
  std::vector<std::string> stages;
  Watcher watcher;
  watcher.epoch = [&](const EpochReport& r) { stages.push_back(r.stage); };
  train(staged("run"), watcher);
  const std::vector<std::string> expected{"assistant", "assistant", "features",
                                          "distil",    "distil",    "finetune"};
  EXPECT_EQ(stages, expected);
  const Model assistant = load_model(task_.at("run/assistant_1.bin"));
  EXPECT_EQ(assistant.classes(), 2);
  const Model student = load_model(task_.at("run/last.bin"));
  EXPECT_TRUE(student.tensors.contains("head.0.weight"));
  for (const auto& [name, tensor] : student.tensors)
    EXPECT_FALSE(name.starts_with("term.")) << name;
}

TEST_F(StagesTest, WhatIsFrozenStays) {
  RunConfig first = plain("first");
  train(first, {});
  RunConfig second = plain("second");
  second.student = task_.at("first/last.bin").string();
  second.freeze = {"conv1", "bn1", "layer1"};
  train(second, {});
  const Model before = load_model(second.student), after = load_model(task_.at("second/last.bin"));
  int changed = 0;
  for (const auto& [name, tensor] : before.tensors) {
    const bool frozen =
        name.starts_with("conv1") || name.starts_with("bn1") || name.starts_with("layer1");
    if (frozen) {
      EXPECT_TRUE(same(tensor, after.tensors.at(name))) << name;
    } else {
      changed += !same(tensor, after.tensors.at(name));
    }
  }
  EXPECT_GT(changed, 5);
}

TEST_F(StagesTest, TheBestEpochIsChosenByTheDevSplit) {
  RunConfig c = plain("chosen");
  c.teacher = {task_.at("teacher/best.bin").string()};
  c.dev_split = 0.25;
  c.baseline = true;
  c.seeds = 2;
  c.epochs = 2;
  std::vector<std::string> notes;
  Watcher watcher;
  watcher.note = [&](const std::string& line) { notes.push_back(line); };
  const RunSummary summary = train(c, watcher);
  EXPECT_GE(summary.test_top1, 0);
  for (const char* run : {"seed_0", "seed_0/baseline", "seed_1", "seed_1/baseline"}) {
    const fs::path folder = task_.at("chosen") / run;
    const Json card = read_json((folder / "scorecard.json").string());
    EXPECT_EQ(card.at("dev_samples").get<int>(), 12) << run;  // 6 of 24 pictures a class
    EXPECT_EQ(card.at("test_samples").get<int>(), 20) << run;
  }
  const std::string before = hash_file(task_.at("chosen/seed_0/last.bin"));
  c.resume = true;  // what is finished is left alone
  train(c, watcher);
  EXPECT_EQ(hash_file(task_.at("chosen/seed_0/last.bin")), before);
  EXPECT_TRUE(std::ranges::any_of(
      notes, [](const std::string& line) { return line.ends_with("finished before"); }));
}

TEST_F(StagesTest, FlagsWinInEveryStage) {
  RunConfig c = staged("flags");
  c.epochs = 1;
  c.lr = 0.5;
  const std::vector<std::string> given{"epochs"};
  override_stages(c, given);
  for (const StageConfig& stage : c.stages) EXPECT_EQ(stage.epochs, 1);
  EXPECT_EQ(c.stages[2].lr, 0.003);
}

TEST_F(StagesTest, ItSaysWhereNumbersStoppedBeingFinite) {
  RunConfig c = plain("broken");
  c.epochs = 3;
  c.lr = 1000;
  c.loss = "ce=1,mse=100";
  c.teacher = {task_.at("teacher/best.bin").string()};
  try {
    train(c, {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("not finite at step"), std::string::npos)
        << error.what();
  }
  const Json run = read_json((task_.at("broken") / "run.json").string());
  EXPECT_GE(run.at("failure").at("step").get<int>(), 1);
  EXPECT_EQ(run.at("failure").at("sample_ids").size(), 8u);
}

TEST_F(StagesTest, AnAverageOfTheWeightsIsSaved) {
  RunConfig raw = plain("raw"), averaged = plain("averaged");
  raw.epochs = averaged.epochs = 2;
  averaged.ema = 0.9;
  train(raw, {});
  train(averaged, {});
  EXPECT_NE(task_.last("raw"), task_.last("averaged"));
  EXPECT_EQ(load_model(task_.at("averaged/last.bin")).parameter_count(),
            load_model(task_.at("raw/last.bin")).parameter_count());
}

TEST_F(StagesTest, TheStudentCanBeginAsItsTeacher) {
  RunConfig c = plain("taken");
  c.teacher = {task_.at("teacher/last.bin").string()};
  c.init_from_teacher = true;
  c.lr = 0;
  std::string taken;
  Watcher watcher;
  watcher.note = [&](const std::string& line) {
    if (line.starts_with("taken from")) taken = line;
  };
  train(c, watcher);
  EXPECT_NE(taken.find("fc.weight"), std::string::npos) << taken;
  const Model teacher = load_model(c.teacher[0]), student = load_model(task_.at("taken/last.bin"));
  EXPECT_TRUE(same(teacher.tensors.at("fc.weight"), student.tensors.at("fc.weight")));
}

}  // namespace
}  // namespace kd
