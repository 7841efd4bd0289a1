// Classes by name, new heads, layers by path, the mix of several teachers.
#include "kd/surgery.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "distill/teachers.h"
#include "kd/error.h"
#include "kd/layers.h"
#include "kd/program.h"

namespace kd {
namespace {

Model small(const std::vector<std::string>& names) {
  const auto path = std::filesystem::path(KD_SOURCE_DIR) / "models/cifar_resnet20.json";
  Model model = build_model(path, static_cast<int64_t>(names.size()), 1);
  model.class_names = names;
  return model;
}

std::vector<float> logits_of(const Model& model) {
  const auto backend = make_backend(Device::cpu, {.threads = 1});
  Predictor predictor(model, *backend, 2);
  float* pictures = predictor.images().as<float>();
  for (int64_t i = 0; i < predictor.images().elements(); ++i) {
    pictures[i] = static_cast<float>(std::sin(0.37 * static_cast<double>(i)));
  }
  const auto stream = backend->stream(Priority::normal);
  predictor.run(*stream);
  const Tensor made = predictor.logits();
  return {made.as<float>(), made.as<float>() + made.elements()};
}

TEST(Surgery, NamesDecideTheOrderOfLogits) {
  const Model model = small({"cat", "dog", "eel", "fox"});
  const std::vector<float> all = logits_of(model);
  const std::vector<float> some = logits_of(select_classes(model, {"fox", "cat"}, "teacher"));
  ASSERT_EQ(some.size(), 4u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_FLOAT_EQ(some[2 * i], all[4 * i + 3]);
    EXPECT_FLOAT_EQ(some[2 * i + 1], all[4 * i]);
  }
}

TEST(Surgery, AHeadThatIsNotLinearIsPickedFrom) {
  Model model = small({"cat", "dog", "eel", "fox"});
  model.logits = affine(model.graph, model.logits, 2);  // no longer made by the linear layer
  const std::vector<float> all = logits_of(model);
  const std::vector<float> some = logits_of(select_classes(model, {"eel", "dog"}, "teacher"));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(some[2 * i], all[4 * i + 2]);
    EXPECT_EQ(some[2 * i + 1], all[4 * i + 1]);
  }
}

TEST(Surgery, AClassItDoesNotKnowIsNamed) {
  const Model model = small({"cat", "dog"});
  try {
    select_classes(model, {"cat", "dgo"}, "teacher");
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("'dgo'"), std::string::npos) << text;
    EXPECT_NE(text.find("did you mean 'dog'"), std::string::npos) << text;
  }
  Model unnamed = model;
  unnamed.class_names.clear();
  EXPECT_THROW(select_classes(unnamed, {"a", "b", "c"}, "teacher"), Error);
}

TEST(Surgery, ANewHeadKeepsTheRest) {
  const Model model = small({"cat", "dog"});
  const Model made = replace_head(model, {.classes = 5, .hidden = {16, 8}, .dropout = 0.5});
  EXPECT_EQ(made.classes(), 5);
  EXPECT_EQ(made.tensors.at("head.0.weight").shape(), Shape({16, 64}));
  EXPECT_EQ(made.tensors.at("head.1.weight").shape(), Shape({8, 16}));
  EXPECT_EQ(made.tensors.at("fc.weight").shape(), Shape({5, 8}));
  EXPECT_EQ(made.tensors.at("conv1.weight").data(), model.tensors.at("conv1.weight").data());
  EXPECT_EQ(made.parameter_count(),
            model.parameter_count() - (64 * 2 + 2) + 16 * 65 + 8 * 17 + 5 * 9);
}

TEST(Surgery, WeightsAreTakenWhereShapesAgree) {
  Model to = small({"cat", "dog", "eel"});
  const Model from = small({"cat", "dog"});
  const std::vector<std::string> taken = take_weights(to, from);
  EXPECT_NE(std::ranges::find(taken, "layer1.0.conv1.weight"), taken.end());
  EXPECT_EQ(std::ranges::find(taken, "fc.weight"), taken.end());
}

TEST(Layers, AreFoundByPath) {
  const Model model = small({"cat", "dog"});
  const auto shape = [&](std::string_view path) {
    return model.graph.shape(find_layer(model, path));
  };
  EXPECT_EQ(shape("layer2"), Shape({1, 16, 16, 32}));
  EXPECT_EQ(find_layer(model, "layer2"), find_layer(model, "@2"));
  EXPECT_EQ(find_layer(model, "layer3"), find_layer(model, "@-1"));
  EXPECT_EQ(shape("features"), Shape({1, 64}));
  EXPECT_EQ(stage_outputs(model).size(), 3u);
  EXPECT_THROW(find_layer(model, "layer7"), Error);
  EXPECT_THROW(find_layer(model, "@4"), Error);
  EXPECT_TRUE(matches_layer("layer1", "layer1.0.conv1.weight"));
  EXPECT_TRUE(matches_layer("layer?.*.conv1", "layer1.0.conv1.weight"));
  EXPECT_FALSE(matches_layer("layer1", "layer10.0.conv1.weight"));
}

// softmax of a mix at T, worked out here.
class MixTest : public testing::Test {
 protected:
  std::vector<float> mixed(const std::string& kind, const std::vector<float>& shares) {
    Graph graph;
    CompileOptions options;
    std::vector<Value> logits;
    for (const char* name : {"a", "b"}) logits.push_back(graph.input(name, {DType::f32, {1, 3}}));
    const Value weights = graph.input("shares", {DType::f32, {2}});
    const Value mix = mix_logits(graph, logits, weights, {kind, 2});
    options.outputs = {mix};
    const auto backend = make_backend(Device::cpu, {.threads = 1});
    Program program = compile(graph, *backend, options);
    std::copy(a_.begin(), a_.end(), program.tensor(logits[0]).as<float>());
    std::copy(b_.begin(), b_.end(), program.tensor(logits[1]).as<float>());
    std::copy(shares.begin(), shares.end(), program.tensor(weights).as<float>());
    program.run(*backend->stream(Priority::normal));
    const float* made = program.tensor(mix).as<float>();
    return {made, made + 3};
  }
  static std::vector<double> softmax(const std::vector<float>& logits, double temperature) {
    std::vector<double> p;
    double sum = 0;
    for (const float x : logits) p.push_back(std::exp(double{x} / temperature)), sum += p.back();
    for (double& x : p) x /= sum;
    return p;
  }
  std::vector<float> a_{1, 2, -1}, b_{3, 0, 0.5f};
};

TEST_F(MixTest, LogitsAreAveraged) {
  const std::vector<float> made = mixed("logits", {3, 1});
  for (size_t k = 0; k < 3; ++k) EXPECT_NEAR(made[k], (3 * a_[k] + b_[k]) / 4, 1e-6);
}

TEST_F(MixTest, ProbabilitiesAreAveragedAtTheTemperature) {
  const std::vector<double> got = softmax(mixed("probabilities", {1, 1}), 2);
  const std::vector<double> a = softmax(a_, 2), b = softmax(b_, 2);
  for (size_t k = 0; k < 3; ++k) EXPECT_NEAR(got[k], (a[k] + b[k]) / 2, 1e-6);
}

TEST_F(MixTest, ASureTeacherWeighsMore) {
  const auto sureness = [](const std::vector<double>& p) {
    double sum = 0;
    for (const double x : p) sum += x * x;
    return sum;
  };
  const double wa = sureness(softmax(a_, 1)), wb = sureness(softmax(b_, 1));
  const std::vector<double> got = softmax(mixed("confidence", {1, 1}), 2);
  const std::vector<double> a = softmax(a_, 2), b = softmax(b_, 2);
  for (size_t k = 0; k < 3; ++k) EXPECT_NEAR(got[k], (wa * a[k] + wb * b[k]) / (wa + wb), 1e-6);
}

TEST_F(MixTest, ATeacherThatHasNotJoinedIsNotHeard) {
  const std::vector<double> got = softmax(mixed("probabilities", {1, 0}), 2), a = softmax(a_, 2);
  for (size_t k = 0; k < 3; ++k) EXPECT_NEAR(got[k], a[k], 1e-6);
}

}  // namespace
}  // namespace kd
