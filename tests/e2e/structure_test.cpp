// Runs whose step holds a second network: module replacement, deep mutual learning; and self
// distillation.
#include <gtest/gtest.h>

#include "core/file.h"
#include "distill/evaluate.h"
#include "distill/runs.h"
#include "kd/error.h"
#include "kd/trainer.h"
#include "support/small_task.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWider =
    R"({"input_size": [8, 8], "stem": {"kind": "cifar", "channels": 8}, "dropout": 0.1,
  "stages": [{"block": "basic", "channels": 16, "blocks": 1},
             {"block": "basic", "channels": 24, "blocks": 1, "stride": 2}]})";

class StructureTest : public testing::Test {
 protected:
  StructureTest() { write_file(task_.at("wider.json"), kWider); }
  RunConfig config(const std::string& name) const {
    RunConfig c = task_.config(name);
    c.epochs = 2;
    c.flip = 0.5;
    c.threads = 2;
    return c;
  }
  RunConfig taught(const std::string& name) const {
    if (!fs::exists(task_.at("teacher"))) {
      RunConfig teacher = config("teacher");
      teacher.student = task_.at("wider.json").string();
      train(teacher, {});
    }
    RunConfig c = config(name);
    c.teacher = {task_.at("teacher/last.bin").string()};
    return c;
  }
  RunConfig theseus(const std::string& name) const {
    RunConfig c = taught(name);
    c.loss = "ce=1";
    c.stages = {c, c};
    c.stages[0].name = "replace";
    c.stages[0].replace_from = 0.3;
    c.stages[0].replace_to = 1;
    c.stages[1].name = "alone";
    return c;
  }
  RunConfig mutual(const std::string& name) const {
    RunConfig c = config(name);
    TermSpec term{"mutual"};
    term.model = task_.at("wider.json").string();
    c.terms = {{"ce"}, term};
    return c;
  }
  std::string hash(const std::string& file) const { return hash_file(task_.at(file)); }
  // Stops in the second epoch, then goes on.
  static void interrupt(RunConfig c) {
    int steps = 0;
    Watcher watcher;
    watcher.step = [&](const StepReport&) { ++steps; };
    watcher.stop = [&] { return steps >= 8; };
    EXPECT_TRUE(train(c, watcher).interrupted);
    c.resume = true;
    EXPECT_FALSE(train(c, {}).interrupted);
  }
  static std::string refusal(const RunConfig& c) {
    try {
      train(c, {});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  test::SmallTask task_;
};

TEST_F(StructureTest, ModulesAreReplacedThenTheStudentTrainsAlone) {
  EXPECT_GE(train(theseus("a"), {}).last_top1, 80);
  const Model saved = load_model(task_.at("a/last.bin"));
  const Model built = build_model(task_.at("student.json"), 2, 0);
  ASSERT_EQ(saved.tensors.size(), built.tensors.size());
  for (const auto& [name, tensor] : built.tensors)
    EXPECT_TRUE(saved.tensors.contains(name)) << name;
  interrupt(theseus("b"));
  EXPECT_EQ(hash("a/last.bin"), hash("b/last.bin"));
  RunConfig alone = theseus("c");
  alone.stages[0].replace_from = 1;
  train(alone, {});
  EXPECT_NE(hash("a/last.bin"), hash("c/last.bin"));
}

// A student that replaces every module of its teacher in every step never meets it.
TEST_F(StructureTest, AllReplacedIsTheStudentAlone) {
  RunConfig c = theseus("a");
  c.stages = {c.stages[0]};
  c.stages[0].replace_from = 1;
  train(c, {});
  RunConfig alone = config("b");
  alone.loss = "ce=1";
  train(alone, {});
  const Model a = load_model(task_.at("a/last.bin")), b = load_model(task_.at("b/last.bin"));
  for (const auto& [name, tensor] : a.tensors) {
    const float* other = b.tensors.at(name).as<float>();
    EXPECT_TRUE(std::equal(other, other + tensor.elements(), tensor.as<float>())) << name;
  }
}

TEST_F(StructureTest, APeerLearnsBesideTheStudent) {
  EXPECT_GE(train(mutual("a"), {}).best_top1, 80);
  const Model peer = load_model(task_.at("a/peer.bin"));
  EXPECT_EQ(peer.class_names, (std::vector<std::string>{"amber", "blue"}));
  DataOptions options;
  const DataSplits data = open_data(task_.at("data"), options);
  const auto backend = make_backend(Device::cpu, {.threads = 2});
  Predictor predictor(peer, *backend, 8);
  LoaderOptions loading;
  loading.batch = 8;
  loading.preprocess = peer.preprocess;
  Loader loader(data.val, loading);
  EXPECT_GE(evaluate(predictor, peer.preprocess, *backend, loader).top1_percent(), 80);
  interrupt(mutual("b"));
  EXPECT_EQ(hash("a/last.bin"), hash("b/last.bin"));
  EXPECT_EQ(hash("a/peer.bin"), hash("b/peer.bin"));
}

// Two networks of one kind must not begin alike: they would have nothing to tell each other.
TEST_F(StructureTest, APeerOfTheStudentsKindIsAnother) {
  RunConfig c = mutual("a");
  c.terms[1].model = c.student;
  train(c, {});
  const Model student = load_model(task_.at("a/last.bin")),
              peer = load_model(task_.at("a/peer.bin"));
  const Tensor &s = student.tensors.at("fc.weight"), &p = peer.tensors.at("fc.weight");
  ASSERT_EQ(s.desc(), p.desc());
  EXPECT_FALSE(std::equal(s.as<float>(), s.as<float>() + s.elements(), p.as<float>()));
}

TEST_F(StructureTest, ANetworkTeachesItself) {
  RunConfig c = config("a");
  c.terms = {{"ce"}, {"self"}};
  EXPECT_GE(train(c, {}).best_top1, 80);
  const Model saved = load_model(task_.at("a/last.bin"));
  EXPECT_EQ(saved.tensors.size(), build_model(task_.at("student.json"), 2, 0).tensors.size());
}

TEST_F(StructureTest, RefusesByName) {
  const auto says = [&](const RunConfig& c, const std::string& part) {
    const std::string text = refusal(c);
    EXPECT_NE(text.find(part), std::string::npos) << text;
    EXPECT_FALSE(fs::exists(fs::path(c.output) / "last.bin"));
  };
  RunConfig c = taught("x");
  c.loss = "ce=1,hint=1";
  c.replace_to = 1;
  says(c, "'hint': a stage that replaces modules takes terms over logits only");
  c = config("x");
  c.replace_to = 1;
  says(c, "--replace-to needs a teacher");
  c = taught("x");
  c.loss = "ce=1";
  c.replace_from = 1;
  says(c, "--replace-from is 1, above --replace-to, 0");
  c = config("x");
  c.loss = "ce=1,mutual=1";
  says(c, "give its path as \"model\"");
  c = mutual("x");
  c.terms[1].model = "/nowhere.json";
  says(c, "/nowhere.json");
  c = mutual("x");
  c.terms[0].model = c.student;
  says(c, "'ce': the model");
}

TEST_F(StructureTest, TheRecipesAreRead) {
  for (const char* name : {"theseus", "self", "mutual"}) {
    RunConfig c = taught("x");
    if (std::string(name) != "theseus") c.teacher.clear();
    read_config(fs::path(KD_SOURCE_DIR) / "models/recipes" / (std::string(name) + ".json"), c);
    EXPECT_NO_THROW(check_config(c)) << name;
    EXPECT_NO_THROW(check_config(baseline_of(c))) << name;
    RunConfig again;
    write_file(task_.at("again.json"), config_to_json(c));
    read_config(task_.at("again.json"), again);
    EXPECT_EQ(config_to_json(again), config_to_json(c)) << name;
  }
}

}  // namespace
}  // namespace kd
