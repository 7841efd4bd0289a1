// Module replacement: with every module replaced the step is the student's, with none the
// teacher's; what adapters join, what is refused, what is drawn.
#include "distill/module_replacement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/file.h"
#include "distill/step_graph.h"
#include "distill/step_schedule.h"
#include "kd/error.h"
#include "kd/layers.h"
#include "kd/program.h"
#include "kd/random.h"
#include "support/support.h"

namespace kd {
namespace {

using Numbers = std::map<std::string, std::vector<float>>;

class ReplacementTest : public testing::Test {
 protected:
  Model model(const std::string& stages, uint64_t seed) const {
    const auto path = folder_.path() / "model.json";
    write_file(path, R"({"input_size": [12, 12], "stem": {"kind": "cifar", "channels": 8},
                         "classes": 5, "stages": [)" +
                         stages + "]}");
    return build_model(path, 0, seed);
  }
  static std::string stage_of(int channels, int stride) {
    return format(R"({"block": "basic", "channels": {}, "blocks": 1, "stride": {}})", channels,
                  stride);
  }
  // Three stages: 12 x 12, 6 x 6, 3 x 3.
  Model network(int first, int second, int third, uint64_t seed) const {
    return model(stage_of(first, 1) + "," + stage_of(second, 2) + "," + stage_of(third, 2), seed);
  }
  static RunConfig stage(double from, double to) {
    RunConfig c;
    c.batch_size = kBatch;
    c.teacher = {"given"};
    c.loss = "ce=1";
    c.replace_from = from;
    c.replace_to = to;
    return c;
  }
  StepGraph graph_of(const Model& student, const Model& teacher, const RunConfig& config) const {
    return build_step_graph({&student, {&teacher}}, config,
                            {.dtype = DType::f32, .backend = backend_.get()});
  }
  Numbers run(const StepGraph& step, const Model& student,
              const std::vector<float>& replaced) const;
  std::string refusal(const Model& student, const Model& teacher) const {
    try {
      graph_of(student, teacher, stage(0.5, 1));
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  static constexpr int64_t kBatch = 6;
  test::TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = make_backend(Device::cpu, {.threads = 2});
};

void fill_pictures(const Tensor& images, const Tensor& labels) {
  RandomSequence random(5, Purpose::init, 1, 1);
  for (int64_t i = 0; i < images.elements(); ++i) {
    images.as<float>()[i] = static_cast<float>(random.normal());
  }
  for (int64_t i = 0; i < labels.elements(); ++i) {
    labels.as<int32_t>()[i] = static_cast<int32_t>(random.below(5));
  }
}

// One step's logits, gradients by parameter, and running statistics.
Numbers ReplacementTest::run(const StepGraph& step, const Model& student,
                             const std::vector<float>& replaced) const {
  CompileOptions options;
  options.outputs = step.gradients;
  options.outputs.push_back(step.logits);
  Program program = compile(step.graph, *backend_, options);
  std::map<std::string, Tensor> tensors = student.tensors;
  tensors.insert(step.initial.begin(), step.initial.end());
  for (const Role role : {Role::parameter, Role::state}) {
    for (const Value v : step.graph.leaves(role)) {
      const Tensor &from = tensors.at(step.graph.info(v).name), to = program.tensor(v);
      std::copy_n(from.as<float>(), from.elements(), to.as<float>());
    }
  }
  fill_pictures(program.tensor(step.input), program.tensor(step.labels));
  for (size_t i = 0; i < step.replaced.size(); ++i) {
    *program.tensor(step.replaced[i]).as<float>() = replaced.at(i);
  }
  const auto stream = backend_->stream(Priority::normal);
  program.run(*stream);
  Numbers numbers;
  const auto take = [&](const std::string& name, Value v) {
    const Tensor t = program.tensor(v);
    numbers[name].assign(t.as<float>(), t.as<float>() + t.elements());
  };
  take("logits", step.logits);
  for (size_t i = 0; i < step.parameters.size(); ++i) {
    take("d " + step.graph.info(step.parameters[i]).name, step.gradients[i]);
  }
  for (const Value v : step.graph.leaves(Role::state)) take(step.graph.info(v).name, v);
  return numbers;
}

bool all_zero(const std::vector<float>& numbers) {
  return std::ranges::all_of(numbers, [](float x) { return x == 0; });
}

TEST_F(ReplacementTest, WithEveryModuleReplacedTheStudentIsAlone) {
  const Model student = network(8, 8, 16, 1), teacher = network(8, 16, 24, 2);
  const StepGraph mixed = graph_of(student, teacher, stage(0.5, 1));
  ASSERT_EQ(mixed.replaced.size(), 4u);
  const Numbers together = run(mixed, student, {1, 1, 1, 1});
  const Numbers alone = run(graph_of(student, teacher, stage(0, 0)), student, {});
  EXPECT_GT(alone.size(), 20u);
  for (const auto& [name, numbers] : alone) EXPECT_EQ(together.at(name), numbers) << name;
  for (const auto& [name, numbers] : together) {
    EXPECT_TRUE(!name.starts_with("d term.") || all_zero(numbers)) << name;
  }
}

TEST_F(ReplacementTest, WithNoneTheTeacherIs) {
  const Model student = network(8, 8, 16, 1), teacher = network(8, 16, 24, 2);
  const Numbers mixed = run(graph_of(student, teacher, stage(0.5, 1)), student, {0, 0, 0, 0});
  const ModelGraph alone = instantiate(teacher, kBatch, Mode::inference);
  StepGraph forward;
  forward.graph = alone.graph;
  forward.input = alone.input;
  forward.logits = alone.logits;
  forward.labels = forward.graph.input("labels", {DType::i32, {kBatch}});
  EXPECT_EQ(mixed.at("logits"), run(forward, teacher, {}).at("logits"));
  for (const auto& [name, numbers] : mixed) {
    EXPECT_TRUE(!name.starts_with("d ") || all_zero(numbers)) << name;
  }
}

TEST_F(ReplacementTest, AModuleLearnsFromWhatFollowsIt) {
  const Model student = network(8, 8, 16, 1), teacher = network(8, 16, 24, 2);
  const StepGraph step = graph_of(student, teacher, stage(0.5, 1));
  const Numbers mixed = run(step, student, {0, 1, 0, 1});
  const auto learns = [&](const std::string& name) { return !all_zero(mixed.at("d " + name)); };
  EXPECT_FALSE(learns("layer1.0.conv1.weight"));
  EXPECT_TRUE(learns("layer2.0.conv1.weight"));
  EXPECT_FALSE(learns("layer3.0.conv1.weight"));
  EXPECT_TRUE(learns("fc.weight"));
  EXPECT_TRUE(learns("term.replace.1.up.weight"));    // the student's second, the teacher's third
  EXPECT_TRUE(learns("term.replace.2.down.weight"));  // the teacher's third, the student's last
  EXPECT_FALSE(learns("term.replace.2.up.weight"));
  const Numbers other = run(step, student, {0, 0, 0, 1});
  EXPECT_NE(mixed.at("logits"), other.at("logits"));
}

TEST_F(ReplacementTest, AdaptersJoinUnequalWidthsOnly) {
  const Model student = network(8, 8, 16, 1), teacher = network(8, 16, 24, 2);
  const StepGraph step = graph_of(student, teacher, stage(0.5, 1));
  std::map<std::string, Shape> found;
  for (const Value v : step.parameters) {
    const std::string& name = step.graph.info(v).name;
    EXPECT_FALSE(name.starts_with("predecessor.")) << name;
    if (name.starts_with("term.")) found.emplace(name, step.graph.shape(v));
  }
  const std::map<std::string, Shape> want{{"term.replace.1.down.weight", {8, 1, 1, 16}},
                                          {"term.replace.1.up.weight", {16, 1, 1, 8}},
                                          {"term.replace.2.down.weight", {16, 1, 1, 24}},
                                          {"term.replace.2.up.weight", {24, 1, 1, 16}}};
  EXPECT_EQ(found, want);
  EXPECT_EQ(step.adapters.size(), 4u);
}

TEST_F(ReplacementTest, TheTeacherComputesInTheStudentsType) {
  const Model student = network(8, 8, 16, 1), teacher = network(8, 16, 24, 2);
  const StepGraph step = build_step_graph({&student, {&teacher}}, stage(0.5, 1),
                                          {.dtype = DType::f16, .backend = backend_.get()});
  for (const char* name : {"predecessor.layer2.0.conv1.weight", "term.replace.1.up.weight"}) {
    EXPECT_EQ(step.graph.desc(step.graph.find(name)).dtype, DType::f16) << name;
    EXPECT_EQ(step.initial.at(name).desc().dtype, DType::f32) << name;
  }
  for (const Value z : step.replaced) EXPECT_EQ(step.graph.desc(z).dtype, DType::f32);
}

// A student that keeps less resolution, or more, and one with fewer stages.
TEST_F(ReplacementTest, StagesOfOtherSizesAreAlignedFromTheDeepest) {
  const Model teacher = network(8, 16, 24, 2);
  const Model smaller = model(stage_of(8, 1) + "," + stage_of(16, 4), 1);  // 12, 3
  EXPECT_EQ(graph_of(smaller, teacher, stage(0.5, 1)).replaced.size(), 3u);
  const Model larger = model(stage_of(8, 1) + "," + stage_of(16, 2), 1);  // 12, 6
  const StepGraph step = graph_of(larger, teacher, stage(0.5, 1));
  EXPECT_EQ(step.replaced.size(), 3u);
  EXPECT_FALSE(all_zero(run(step, larger, {1, 0, 1}).at("d term.replace.1.down.weight")));
}

TEST_F(ReplacementTest, RefusesWhatDoesNotFit) {
  const Model teacher = network(8, 16, 24, 2);  // 12, 6, 3
  const std::string sizes = refusal(model(stage_of(8, 1) + "," + stage_of(16, 3), 1), teacher);
  EXPECT_NE(sizes.find("(6, 4, 4, 16)"), std::string::npos) << sizes;
  EXPECT_NE(sizes.find("(6, 3, 3, 24)"), std::string::npos) << sizes;
  Model other = network(8, 8, 16, 1);
  other.preprocess.mean = {0.5, 0.5, 0.5};
  EXPECT_NE(refusal(other, teacher).find("different pictures"), std::string::npos);
}

TEST_F(ReplacementTest, TheProbabilityRisesLinearly) {
  const RunConfig config = stage(0.25, 0.75);
  EXPECT_DOUBLE_EQ(replacement_probability(config, 0, 101), 0.25);
  EXPECT_DOUBLE_EQ(replacement_probability(config, 50, 101), 0.5);
  EXPECT_DOUBLE_EQ(replacement_probability(config, 100, 101), 0.75);
  EXPECT_DOUBLE_EQ(replacement_probability(config, 0, 1), 0.75);
}

TEST_F(ReplacementTest, TheScheduleDrawsEveryModuleOfEveryStep) {
  RunConfig config = stage(0.3, 0.3);
  config.epochs = 4;
  constexpr int64_t kModules = 3;
  const StepSchedule schedule(config, 500);
  const std::vector<float> table = schedule.table(0, 1, kModules);
  EXPECT_EQ(table, StepSchedule(config, 500).table(0, 1, kModules));
  const auto width = static_cast<size_t>(StepSchedule::columns(0, 1, kModules));
  std::array<double, kModules> share{};
  std::set<std::vector<float>> patterns;
  for (size_t end = width; end <= table.size(); end += width) {
    patterns.insert({table.begin() + static_cast<std::ptrdiff_t>(end - kModules),
                     table.begin() + static_cast<std::ptrdiff_t>(end)});
    for (size_t i = 0; i < kModules; ++i) share[i] += table[end - kModules + i] / 2000;
  }
  EXPECT_EQ(patterns.size(), 8u);                          // modules are drawn on their own
  for (const double s : share) EXPECT_NEAR(s, 0.3, 0.04);  // four deviations of 2000 draws
  config.seed = 1;
  EXPECT_NE(table, StepSchedule(config, 500).table(0, 1, kModules));
  const std::vector<float> all = StepSchedule(stage(1, 1), 2).table(0, 1, kModules);
  EXPECT_EQ(std::vector<float>(all.end() - kModules, all.end()), (std::vector<float>{1, 1, 1}));
}

}  // namespace
}  // namespace kd
