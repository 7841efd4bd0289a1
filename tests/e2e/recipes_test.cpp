// Every recipe of models/recipes on real pictures at toy length; and recipes that are wrong, each
// refused in one sentence before data is read.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "core/file.h"
#include "core/json.h"
#include "kd/error.h"
#include "kd/trainer.h"
#include "support/cifar_job.h"
#include "support/small_task.h"
#include "support/support.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> recipes() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(fs::path(KD_SOURCE_DIR) / "models/recipes")) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

class Recipe : public testing::TestWithParam<std::string> {
 protected:
  // Terms of the recipe that learn from a teacher; an assistant counts as one.
  static bool is_taught(const RunConfig& config) {
    for (int64_t i = 0; i < stage_count(config); ++i) {
      if (needs_teacher(loss_terms(at_stage(config, i)))) return true;
    }
    return false;
  }
};

TEST_P(Recipe, TrainsOnRealPictures) {
  const auto cifar = test::cifar_folder();
  if (!cifar) GTEST_SKIP() << "no real data (KD_DATA)";
  const test::TemporaryFolder folder;
  fs::current_path(KD_SOURCE_DIR);  // recipes name models by paths from here
  RunConfig config;
  read_config("models/recipes/" + GetParam() + ".json", config);
  config.student = "models/cifar_resnet20.json";
  config.data = cifar->data.string();
  config.output = (folder.path() / "run").string();
  config.epochs = 1;
  config.batch_size = 32;
  config.train_per_class = 16;
  config.threads = 2;
  if (GetParam() == "several_teachers" || GetParam() == "joining_teachers") {
    config.teacher.assign(3, cifar->teacher.string());
  } else if (is_taught(config) || !config.stages.empty()) {
    config.teacher = {cifar->teacher.string()};
  }
  if (!config.teacher_join.empty()) config.teacher_join = {0, 0, 0};
  const std::vector<std::string> shorter{"epochs", "teacher-join"};
  override_stages(config, shorter);
  const std::string plan = describe_plan(config);
  for (int64_t i = 0; i < stage_count(config) && !config.stages.empty(); ++i) {
    EXPECT_NE(plan.find(at_stage(config, i).name), std::string::npos) << plan;
  }
  EXPECT_NE(plan.find("term "), std::string::npos) << plan;
  int64_t validated = 0;
  Watcher watcher;
  watcher.epoch = [&](const EpochReport& report) {
    EXPECT_TRUE(std::isfinite(report.train_loss)) << report.train_loss;
    for (const auto& [name, value] : report.terms) EXPECT_TRUE(std::isfinite(value)) << name;
    validated += report.validated;
  };
  const RunSummary summary = train(config, watcher);
  EXPECT_EQ(validated, stage_count(config));
  EXPECT_GE(summary.test_top1, 0);
  // The student alone is saved: nothing of a term, a teacher or a peer.
  const Model student = load_model(folder.path() / "run/last.bin");
  for (const auto& [name, tensor] : student.tensors) {
    EXPECT_TRUE(!name.starts_with("term.") && !name.starts_with("predecessor.")) << name;
  }
  EXPECT_TRUE(fs::exists(folder.path() / "run/scorecard.json"));
}

INSTANTIATE_TEST_SUITE_P(Real, Recipe, testing::ValuesIn(recipes()),
                         [](const auto& param) { return param.param; });

// A mistake, and what the message must name.
struct Broken {
  std::string recipe, says;
};

class BrokenRecipes : public testing::Test {
 protected:
  // What a run with this recipe says; the data's folder does not exist, so nothing can be read.
  std::string message(const std::string& recipe) {
    write_file(task_.at("recipe.json"), recipe);
    RunConfig config;
    try {
      read_config(task_.at("recipe.json"), config);
      config.student = task_.at("student.json").string();
      config.teacher = {teacher()};
      config.data = "/nowhere/data";
      config.output = task_.at("run").string();
      train(config, {});
    } catch (const Error& error) {
      EXPECT_FALSE(fs::exists(task_.at("run")));
      return error.what();
    }
    return "no error";
  }
  std::string teacher() {
    const fs::path file = task_.at("teacher.bin");
    if (!fs::exists(file)) save_model(build_model(task_.at("student.json"), 2, 3), file);
    return file.string();
  }
  test::SmallTask task_;
};

TEST_F(BrokenRecipes, AreRefusedBeforeDataIsRead) {
  const auto terms = [](const std::string& list) { return R"({"terms": [)" + list + "]}"; };
  const std::vector<Broken> all{
      {R"({"epohcs": 3})", "did you mean 'epochs'"},
      {R"({"epochs": "three"})", "expected an integer"},
      {R"({"epochs": 0})", "--epochs is 0"},
      {R"({"stages": []})", "one or more"},
      {R"({"stages": [{"lrr": 0.1}]})", "stages[0]: unknown key 'lrr'"},
      {R"({"stages": [{"batch-size": 4}]})", "stages[0]: unknown key 'batch-size'"},
      {R"({"stages": [{"name": "one", "opt": "adamm"}]})", "one: --opt is 'adamm'; did you mean"},
      {terms(""), "a list of one or more terms"},
      {terms(R"({"weight": 1})"), "\"term\""},
      {terms(R"({"term": "klx"})"), "unknown loss term 'klx'; did you mean 'kl'"},
      {terms(R"({"term": "kl", "temprature": 4})"), "did you mean 'temperature'"},
      {terms(R"({"term": "kl", "temperature": -4})"), "temperature is -4"},
      {terms(R"({"term": "kl", "weight": 0})"), "weight 0"},
      {terms(R"({"term": "kl", "ramp": [0, 1, 0, 0]})"), "weight 0 in all"},
      {terms(R"({"term": "kl", "warmup": 5, "ramp": [0, 1, 0, 1]})"), "both"},
      {terms(R"({"term": "kl"}, {"term": "kl"})"), "given twice"},
      {terms(R"({"term": "kl", "at": [["layer1", "layer1"]]})"), "reads no layers"},
      {terms(R"({"term": "hint", "at": [["layr1", "layer1"]]})"), "no layer 'layr1'; did you mean"},
      {terms(R"({"term": "hint", "at": [["layer1", "layer9"]]})"), "no layer 'layer9'"},
      {terms(R"({"term": "hint", "at": [["layer1", "@7"]]})"), "names no stage"},
      {terms(R"({"term": "hint", "at": [["fc", "layer1"]]})"), "no adapter joins"},
      {terms(R"({"term": "hint", "at": [["layer1", "layer1", 4]]})"), "names teacher 4"},
      {terms(R"({"term": "hint", "at": "layer1"})"), "expected a list of"},
      {R"({"loss": "kl=1", "freeze": ["layr*"]})", "'layr*' matches no layer"},
      {R"({"loss": "kl=1", "freeze": ["*"]})", "every layer is frozen"},
      {R"({"loss": "kl=1", "teacher-weights": [1, 2]})", "2 entries for 1 teacher"},
      {R"({"loss": "kl=1", "teacher-join": [3]})", "no teacher is there at epoch 0"},
      {R"({"loss": "kl=1", "sched": "multi-step"})", "needs --milestones"},
      {R"({"loss": "kl=1", "head-hidden": [8]})", "without --new-head"},
      {R"({"loss": "kl=1", "lr-scale": ["layer1"]})", "layer=factor"},
      {R"({"stages": [{"assistant": "/nowhere.json"}]})", "/nowhere.json"},
      {R"([1, 2])", "an object"},
  };
  for (const Broken& broken : all) {
    const std::string text = message(broken.recipe);
    EXPECT_NE(text.find(broken.says), std::string::npos) << broken.recipe << "\n  " << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace kd
