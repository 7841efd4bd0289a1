// Terms over feature maps by hand, and what must stay finite.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kd/backend.h"
#include "kd/error.h"
#include "kd/program.h"
#include "kd/term_graph.h"
#include "nn/initialise.h"

namespace kd {
namespace {

struct Layer {
  Shape shape;  // (N, H, W, C)
  std::vector<float> values;
};
struct Problem {
  TermSpec spec;
  std::vector<Layer> layers;  // the student's, then the teacher's; shallow pairs first
  std::map<std::string, std::vector<float>> weights = {};  // by name without "term.<term>."
  std::vector<int32_t> labels = {};
  int64_t classes = 2;
};
struct Outcome {
  double value = 0;
  std::vector<std::vector<float>> gradients;  // by the student's layers, then by the term's weights
};

// The graph of a problem, and where its numbers go.
class Run {
 public:
  explicit Run(const Problem& problem) : problem_(problem) { add_term(); }
  Outcome outcome();

 private:
  void add_term();
  void put_weights(Program& program);

  const Problem& problem_;
  Graph graph_;
  std::vector<Value> layers_, wrt_;
  Value labels_, value_;
  std::map<std::string, Tensor> initial_;
};

void Run::add_term() {
  const TermDef& def = term(problem_.spec.name);
  TermGraph::Parts parts;
  const int64_t batch = problem_.layers[0].shape[0];
  parts.student_logits = graph_.input("logits", {DType::f32, {batch, problem_.classes}});
  parts.labels = labels_ = graph_.input("labels", {DType::i32, {batch}});
  for (const Layer& layer : problem_.layers) {
    layers_.push_back(
        graph_.input("layer" + std::to_string(layers_.size()), {DType::f32, layer.shape}));
  }
  const size_t each = def.needs_teacher ? 2 : 1;
  for (size_t i = 0; i < layers_.size(); i += each) {
    wrt_.push_back(layers_[i]);
    parts.taps.push_back(
        {layers_[i], def.needs_teacher ? layers_[i + 1] : Value{}, std::to_string(i / each)});
  }
  TermGraph builder(graph_, def, problem_.spec, std::move(parts));
  value_ = def.build(builder);
  initial_ = builder.initial();
  for (const auto& [name, tensor] : initial_tensors(graph_, 1)) initial_.emplace(name, tensor);
  for (const Value weight : graph_.leaves(Role::parameter)) wrt_.push_back(weight);
}

void Run::put_weights(Program& program) {
  const std::string prefix = "term." + problem_.spec.name + ".";
  for (const Value weight : graph_.leaves(Role::parameter)) {
    const std::string& name = graph_.info(weight).name;
    const Tensor& start = initial_.at(name);
    std::copy_n(start.as<float>(), start.elements(), program.tensor(weight).as<float>());
    const auto given = problem_.weights.find(name.substr(prefix.size()));
    if (given == problem_.weights.end()) continue;
    EXPECT_EQ(static_cast<int64_t>(given->second.size()), start.elements()) << name;
    std::ranges::copy(given->second, program.tensor(weight).as<float>());
  }
}

Outcome Run::outcome() {
  const std::vector<Seed> seeds{{value_, fill(graph_, {}, 1)}};
  const std::vector<Value> gradients = differentiate(graph_, seeds, wrt_);
  CompileOptions options;
  options.outputs = gradients;
  options.outputs.push_back(value_);
  const auto backend = make_backend(Device::cpu, {.threads = 2});
  Program program = compile(graph_, *backend, options);
  put_weights(program);
  for (size_t i = 0; i < layers_.size(); ++i) {
    std::ranges::copy(problem_.layers[i].values, program.tensor(layers_[i]).as<float>());
  }
  std::ranges::copy(problem_.labels, program.tensor(labels_).as<int32_t>());
  program.run(*backend->stream(Priority::normal));
  Outcome made{*program.tensor(value_).as<float>(), {}};
  for (const Value gradient : gradients) {
    const Tensor tensor = program.tensor(gradient);
    made.gradients.emplace_back(tensor.as<float>(), tensor.as<float>() + tensor.elements());
  }
  return made;
}

Outcome outcome(const Problem& problem) { return Run(problem).outcome(); }
double value(const Problem& problem) { return outcome(problem).value; }

const float kLog3 = std::log(3.0f);

TEST(TermGolden, VariationalInformation) {
  // mu = 2 x 3 + 1 = 7, 2 off the teacher's 5, variance 5: (4 / 5 + log 5) / 2 = 1.204719.
  Problem problem{{"vid"}, {{{1, 1, 1, 1}, {3}}, {{1, 1, 1, 1}, {5}}}};
  problem.weights = {{"0.weight", {2}}, {"0.bias", {1}}};
  const Outcome made = outcome(problem);
  EXPECT_NEAR(made.value, 1.204719, 1e-6);
  EXPECT_NEAR(made.gradients[0][0], 0.8, 1e-6);  // 2 x (7 - 5) / 5
  // Variance 1: 4 / 2 + 0.
  problem.spec.params["initial_variance"] = 1;
  EXPECT_NEAR(value(problem), 2, 1e-6);
  // A mean over channels: the second is met, 0 + log 1. (2 + 0) / 2.
  problem.layers = {{{1, 1, 1, 1}, {3}}, {{1, 1, 1, 2}, {5, 4}}};
  problem.weights = {{"0.weight", {2, 1}}, {"0.bias", {1, 1}}};
  EXPECT_NEAR(value(problem), 1, 1e-6);
}

TEST(TermGolden, ActivationBoundaries) {
  // Active at 0.5 lacks 1/2 of the margin; inactive at -2 is beyond it: 1/4. Active at -1 lacks 2,
  // inactive (0 is) at 0.5 exceeds by 1.5: 4 + 2.25. The mean of both pictures.
  const Layer s{{2, 1, 1, 2}, {0.5f, -2, -1, 0.5f}}, t{{2, 1, 1, 2}, {1, -1, 2, 0}};
  const Outcome made = outcome({{"ab"}, {s, t}});
  EXPECT_NEAR(made.value, 3.25, 1e-6);
  const std::vector<float> gradient{-0.5f, 0, -2, 1.5f};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(made.gradients[0][i], gradient[i], 1e-6) << i;
  EXPECT_EQ(made.gradients.size(), 1u);  // equal widths: nothing learned
  // Of two layers the first counts half: 3.25 x 3/2.
  EXPECT_NEAR(value({{"ab"}, {s, t, s, t}}), 4.875, 1e-6);
  // Margin 2: 1.5^2 + 0 + 3^2 + 2.5^2 = 17.5, over 2.
  EXPECT_NEAR(value({{"ab", 1, {{"margin", 2}}}, {s, t}}), 8.75, 1e-6);
}

TEST(TermGolden, Overhaul) {
  // The negatives' mean is -2: targets -1, -2, 2, 0. Not counted: -1.5 below -1. Counted: -1 above
  // -2, 1 below the positive 2, 1/2 above 0: 1 + 1 + 1/4.
  Problem problem{{"ofd"}, {{{1, 2, 2, 1}, {-1.5f, -1, 1, 0.5f}}, {{1, 2, 2, 1}, {-1, -3, 2, 0}}}};
  problem.weights = {{"0.weight", {1}}};
  const Outcome made = outcome(problem);
  EXPECT_NEAR(made.value, 2.25, 1e-6);
  const std::vector<float> gradient{0, 2, -2, 1};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(made.gradients[0][i], gradient[i], 1e-6) << i;
}

TEST(TermGolden, Review) {
  // All convolutions pass values on. The deep stage: 2 beside 1, 1. The gates are sigmoid(log 3) =
  // 3/4 and 1/2: 3/4 (1, 2, 3, 4) + 1/2 2 = (1.75, 2.5, 3.25, 4) beside (1, 2, 3, 4): 0.875 / 4 =
  // 0.21875; the means 2.875 and 2.5: 0.140625. (0.21875 + 0.140625 / 2) / (1 + 1/2) = 0.192708.
  const std::vector<float> centre{0, 0, 0, 0, 1, 0, 0, 0, 0};
  const Layer map{{1, 2, 2, 1}, {1, 2, 3, 4}};
  Problem problem{{"review"}, {map, map, {{1, 1, 1, 1}, {2}}, {{1, 1, 1, 1}, {1}}}};
  problem.weights = {{"0.reduce.weight", {1}},
                     {"0.output.weight", centre},
                     {"1.reduce.weight", {1}},
                     {"1.output.weight", centre},
                     {"0.attention.weight", {0, 0, 0, 0}},
                     {"0.attention.bias", {kLog3, 0}}};
  EXPECT_NEAR(value(problem), 1.192708, 1e-6);
}

TEST(TermGolden, ReviewOfAMapThatIsNoMultiple) {
  // 3 x 3 to 2 x 2: windows overlap in the middle. The deep stage is met; the other, its output all
  // 0, is 9 off in the middle place: full size 81 / 9; 2 x 2 windows of mean 9/4 each: 81 / 16;
  // 1 x 1: mean 1, 1. (9 + 5.0625 / 2 + 1 / 4) / 1.75 = 6.732143.
  Problem problem{{"review"},
                  {{{1, 3, 3, 1}, std::vector<float>(9, 1)},
                   {{1, 3, 3, 1}, {0, 0, 0, 0, 9, 0, 0, 0, 0}},
                   {{1, 1, 1, 1}, {1}},
                   {{1, 1, 1, 1}, {0}}}};
  problem.weights = {{"0.output.weight", std::vector<float>(9, 0)},
                     {"1.output.weight", std::vector<float>(9, 0)}};
  EXPECT_NEAR(value(problem), 6.732143, 1e-5);
}

TEST(TermGolden, NeuronSelectivity) {
  // (3, 4) is (0.6, 0.8) beside (1, 0) and (0, 1): mean k(t, t) = 2 / 4, k(s, s) = 1, mean k(s, t)
  // = (0.36 + 0.64) / 2: 1/2 + 1 - 1.
  const Layer s{{1, 1, 2, 1}, {3, 4}}, t{{1, 1, 2, 2}, {1, 0, 0, 2}};
  EXPECT_NEAR(value({{"nst"}, {s, t}}), 0.5, 1e-6);
  EXPECT_NEAR(value({{"nst"}, {s, s}}), 0, 1e-6);
}

TEST(TermGolden, Flow) {
  // (1 x 3 - 2 x 1) / 2 = 1/2 beside (2 x 1 + 0) / 2 = 1: 1/4.
  const auto pair = [](float a, float b) { return Layer{{1, 1, 2, 1}, {a, b}}; };
  EXPECT_NEAR(value({{"fsp"}, {pair(1, 2), pair(2, 0), pair(3, -1), pair(1, 1)}}), 0.25, 1e-6);
  // The larger map is averaged: 3 x 2 beside 4 x 1: 4.
  const Layer s{{1, 2, 2, 1}, {1, 2, 3, 6}}, t{{1, 2, 2, 1}, {4, 4, 4, 4}};
  const Layer deep_s{{1, 1, 1, 1}, {2}}, deep_t{{1, 1, 1, 1}, {1}};
  EXPECT_NEAR(value({{"fsp"}, {s, t, deep_s, deep_t}}), 4, 1e-6);
}

TEST(TermGolden, AuxiliaryClassifier) {
  // The layer's mean is 1: logits log 3 and 0, softmax (3/4, 1/4): -log 3/4.
  Problem problem{{"aux_ce"}, {{{1, 1, 2, 1}, {0, 2}}}};
  problem.weights = {{"0.weight", {kLog3, 0}}, {"0.bias", {0, 0}}};
  problem.labels = {0};
  EXPECT_NEAR(value(problem), 0.287682, 1e-6);
  problem.labels = {1};
  EXPECT_NEAR(value(problem), 1.386294, 1e-6);
}

class FiniteTerm : public testing::TestWithParam<const char*> {};

TEST_P(FiniteTerm, OfZeroAndOfLargeMaps) {
  const auto layer = [](Shape shape, float scale) {
    Layer made{shape, {}};
    for (int64_t i = 0; i < shape.elements(); ++i) {
      made.values.push_back(scale * (i % 3 == 0 ? -1.0f : static_cast<float>(i % 5) / 4));
    }
    return made;
  };
  for (const float student : {0.0f, 1e-20f, 1e-6f, 1e4f}) {
    for (const float teacher : {0.0f, 1e-20f, 1e-6f, 1e4f}) {
      Problem problem{{GetParam()}, {}};
      problem.labels = {0, 1};
      for (const int64_t size : {4, 2}) {
        problem.layers.push_back(layer({2, size, size, 3}, student));
        if (term(GetParam()).needs_teacher) {
          problem.layers.push_back(layer({2, size, size, 5}, teacher));
        }
      }
      const Outcome made = outcome(problem);
      EXPECT_TRUE(std::isfinite(made.value)) << student << " beside " << teacher;
      for (const auto& gradient : made.gradients) {
        EXPECT_TRUE(std::ranges::all_of(gradient, [](float g) { return std::isfinite(g); }))
            << student << " beside " << teacher;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Terms, FiniteTerm,
                         testing::Values("hint", "attention", "vid", "ab", "ofd", "review", "nst",
                                         "fsp", "aux_ce"),
                         [](const auto& of) { return std::string(of.param); });

TEST(TermErrors, NameTheLayersAndTheirShapes) {
  const Layer map{{1, 2, 2, 1}, {1, 2, 3, 4}}, row{{1, 4}, {1, 2, 3, 4}};
  const Layer odd{{1, 3, 3, 1}, std::vector<float>(9, 1)};
  for (const char* name : {"attention", "nst"}) {
    EXPECT_THROW(value({{name}, {map, row}}), Error) << name;
    EXPECT_THROW(value({{name}, {map, odd}}), Error) << name;
  }
  EXPECT_THROW(value({{"fsp"}, {map, map, row, row}}), Error);
  // From deep to shallow: no map can be enlarged.
  EXPECT_THROW(value({{"review"}, {map, map, odd, odd}}), Error);
}

}  // namespace
}  // namespace kd
