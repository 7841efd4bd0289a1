// fuse_conv_norm_chain on networks of every kind of block: the numbers of one training step stay
// those of the graph with fused batch norms, and every convolution takes what it can.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include "kd/backend.h"
#include "kd/passes.h"
#include "kd/program.h"
#include "kd/random.h"
#include "ops/table.h"
#include "support/support.h"

namespace kd::test {
namespace {

using Supported = std::function<bool(const Graph&, const Node&)>;
using Numbers = std::map<std::string, std::vector<float>>;
using Counts = std::map<std::string_view, int64_t>;

constexpr int64_t kBatch = 6;

// How often each op is to be found in a network's graph after the rewrite.
struct Network {
  std::string name, json;
  Counts counts;
};
void PrintTo(const Network& network, std::ostream* out) { *out << network.name; }

// A basic block has one activation inside, a bottleneck two, and none of them is stored: what is
// stored are the stem's and the blocks' outputs. A projection's batch norm is in its block's sum.
const std::vector<Network>& networks() {
  static const std::vector<Network> all{
      {"r18",
       R"({"input_size": [32, 32], "classes": 7, "stem": {"kind": "imagenet", "channels": 8},
           "stages": [{"block": "basic", "channels": 8, "blocks": 2, "stride": 1},
                      {"block": "basic", "channels": 12, "blocks": 2, "stride": 2},
                      {"block": "basic", "channels": 16, "blocks": 1, "stride": 2}]})",
       {{"conv2d_stats", 8},
        {"scale_bias_relu_conv2d_stats", 5},
        {"scale_bias_relu_conv2d_wgrad", 5},
        {"conv2d_dgrad_relu_norm", 5},
        {"norm_input_grad", 5},
        {"norm_finalize", 13},
        {"scale_bias_relu", 6},
        {"batch_norm_relu_backward", 6},
        {"batch_norm_backward", 2},
        {"conv2d_wgrad", 8},
        {"conv2d_dgrad", 7}}},
      {"cifar_resnet20",
       R"({"input_size": [16, 16], "classes": 5, "stem": {"kind": "cifar", "channels": 8},
           "stages": [{"block": "basic", "channels": 8, "blocks": 3, "shortcut": "A"},
                      {"block": "basic", "channels": 12, "blocks": 3, "stride": 2, "shortcut": "A"},
                      {"block": "basic", "channels": 16, "blocks": 3, "stride": 2,
                       "shortcut": "A"}]})",
       {{"conv2d_stats", 10},
        {"scale_bias_relu_conv2d_stats", 9},
        {"scale_bias_relu_conv2d_wgrad", 9},
        {"conv2d_dgrad_relu_norm", 9},
        {"norm_input_grad", 9},
        {"norm_finalize", 19},
        {"scale_bias_relu", 10},
        {"batch_norm_relu_backward", 10},
        {"conv2d_wgrad", 10},
        {"conv2d_dgrad", 9}}},
      {"bottleneck",
       R"({"input_size": [24, 24], "classes": 6, "stem": {"kind": "imagenet", "channels": 8},
           "stages": [{"block": "bottleneck", "channels": 4, "blocks": 2, "stride": 1},
                      {"block": "bottleneck", "channels": 8, "blocks": 2, "stride": 2}]})",
       {{"conv2d_stats", 7},
        {"scale_bias_relu_conv2d_stats", 8},
        {"scale_bias_relu_conv2d_wgrad", 8},
        {"conv2d_dgrad_relu_norm", 8},
        {"norm_input_grad", 8},
        {"norm_finalize", 15},
        {"scale_bias_relu", 5},
        {"batch_norm_relu_backward", 5},
        {"batch_norm_backward", 2},
        {"conv2d_wgrad", 7},
        {"conv2d_dgrad", 6}}},
  };
  return all;
}

Model model_of(const Network& network) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "network.json";
  std::ofstream(path) << network.json;
  Model model = build_model(path, 0, 5);
  RandomSequence random(11, Purpose::init, 1, 0);  // batch norms that do something
  for (const auto& [name, tensor] : model.tensors) {
    if (tensor.shape().rank() != 1) continue;
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      tensor.as<float>()[i] = static_cast<float>(random.uniform(0.3, 1.5));
    }
  }
  return model;
}

// A training step up to the gradients, with batch norm and ReLU fused; `keep` is read outside.
struct Step {
  Graph graph;
  Value images, labels;
  std::map<std::string, Value> outputs;
  std::vector<Value> keep;
};

Step step_of(const Model& model) {
  ModelGraph made = instantiate(model, kBatch, Mode::training);
  Graph& graph = made.graph;
  const std::vector<Value> keep{made.logits};
  fuse_bn_relu(graph, keep);
  const Value labels = graph.input("labels", {DType::i32, {kBatch}});
  DistillLossAttrs attrs;
  attrs.weight[static_cast<size_t>(LossTerm::ce)] = 1;
  const DistillLoss loss = distill_loss(graph, {.student = made.logits, .labels = labels}, attrs);
  const std::vector<Value> parameters = graph.leaves(Role::parameter);
  const std::vector<Seed> seeds{{made.logits, loss.dlogits}};
  const std::vector<Value> gradients = differentiate(graph, seeds, parameters);
  std::map<std::string, Value> outputs{{"loss", loss.total}, {"logits", made.logits}};
  for (size_t i = 0; i < parameters.size(); ++i) {
    outputs["gradient of " + graph.info(parameters[i]).name] = gradients[i];
  }
  for (const Value v : graph.leaves(Role::state)) outputs[graph.info(v).name] = v;
  Step step{std::move(graph), made.input, labels, outputs, {}};
  for (const auto& [name, value] : outputs) step.keep.push_back(value);
  return step;
}

Step chained(
    const Model& model, const Supported& supported = [](auto&&...) { return true; }) {
  Step step = step_of(model);
  fuse_conv_norm_chain(step.graph, step.keep, supported);
  return step;
}

Supported all_but(const OpDef& op) {
  return [&op](const Graph&, const Node& node) { return node.op != &op; };
}

Numbers run(const Model& model, const Step& step) {
  const auto backend = make_backend(Device::cpu, {.threads = 2});
  CompileOptions options;
  for (const auto& [name, tensor] : model.tensors) {
    const Tensor own = Tensor::host(tensor.desc());
    std::copy_n(tensor.as<float>(), tensor.elements(), own.as<float>());
    options.bindings.push_back({step.graph.find(name), own});
  }
  for (const auto& [name, value] : step.outputs) {
    if (step.graph.info(value).role == Role::activation) options.outputs.push_back(value);
  }
  Program program = compile(step.graph, *backend, options);
  RandomSequence random(7, Purpose::init, 1, 1);
  const Tensor images = program.tensor(step.images);
  for (int64_t i = 0; i < images.elements(); ++i) {
    images.as<float>()[i] = static_cast<float>(random.normal());
  }
  for (int64_t i = 0; i < kBatch; ++i) {
    program.tensor(step.labels).as<int32_t>()[i] = static_cast<int32_t>(i % 5);
  }
  const auto stream = backend->stream(Priority::normal);
  program.run(*stream);
  backend->synchronize(*stream);
  Numbers numbers;
  for (const auto& [name, value] : step.outputs) {
    const Tensor tensor = program.tensor(value);
    numbers[name] = {tensor.as<float>(), tensor.as<float>() + tensor.elements()};
  }
  return numbers;
}

// Every tensor to 5e-5 of its largest element: f32 through a dozen layers, and for gradients of
// beta what cancels in their sums; most are within 1e-5.
void expect_close(const Numbers& got, const Numbers& want) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, wanted] : want) {
    const std::vector<float>& values = got.at(name);
    ASSERT_EQ(values.size(), wanted.size()) << name;
    double scale = 0, worst = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      scale = std::max(scale, std::abs(double{wanted[i]}));
      worst = std::max(worst, std::abs(double{values[i]} - double{wanted[i]}));
    }
    EXPECT_GT(scale, 0) << name;
    EXPECT_LE(worst, 5e-5 * scale) << name;
  }
}

int64_t count(const Graph& graph, std::string_view op) {
  return std::ranges::count_if(graph.nodes(),
                               [op](const Node& node) { return node.op->name == op; });
}

// Of everything that has to do with convolutions and batch norms: as listed, and nothing else.
void expect_counts(const Graph& graph, const Counts& counts) {
  for (const OpDef* op : all_ops()) {
    if (op->name.find("conv") == op->name.npos && op->name.find("norm") == op->name.npos &&
        op->name.find("scale") == op->name.npos && op->name != "activation") {
      continue;
    }
    const auto wanted = counts.find(op->name);
    EXPECT_EQ(count(graph, op->name), wanted == counts.end() ? 0 : wanted->second) << op->name;
  }
}

class Chain : public testing::TestWithParam<Network> {
 protected:
  const Model model_ = model_of(GetParam());
};

TEST_P(Chain, KeepsTheNumbersAndFusesAllItCan) {
  const Step fused = chained(model_);
  expect_counts(fused.graph, GetParam().counts);
  expect_close(run(model_, fused), run(model_, step_of(model_)));
}

TEST_P(Chain, KeepsTheNumbersWithoutOneOfThePatterns) {
  const Numbers want = run(model_, step_of(model_));
  for (const OpDef* op : {&op_conv2d_stats, &op_scale_bias_relu_conv2d_stats,
                          &op_scale_bias_relu_conv2d_wgrad, &op_conv2d_dgrad_relu_norm}) {
    const Step fused = chained(model_, all_but(*op));
    EXPECT_EQ(count(fused.graph, op->name), 0);
    expect_close(run(model_, fused), want);
  }
}

std::string name_of_network(const testing::TestParamInfo<Network>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Networks, Chain, testing::ValuesIn(networks()), name_of_network);

TEST(ChainFallback, WithoutStatisticsNothingChanges) {
  const Model model = model_of(networks()[0]);
  EXPECT_EQ(chained(model, all_but(op_conv2d_stats)).graph.dump(), step_of(model).graph.dump());
}

// An activation that one of its readers can't do without is stored, for all of them.
TEST(ChainFallback, AnActivationThatIsNeededIsStored) {
  const Model model = model_of(networks()[0]);
  for (const OpDef* op : {&op_scale_bias_relu_conv2d_stats, &op_scale_bias_relu_conv2d_wgrad,
                          &op_conv2d_dgrad_relu_norm}) {
    const Graph graph = chained(model, all_but(*op)).graph;
    EXPECT_EQ(count(graph, "scale_bias_relu_conv2d_stats"), 0);
    EXPECT_EQ(count(graph, "scale_bias_relu_conv2d_wgrad"), 0);
    EXPECT_EQ(count(graph, "scale_bias_relu"), 11);
    EXPECT_EQ(count(graph, "conv2d_dgrad_relu_norm"), op == &op_conv2d_dgrad_relu_norm ? 0 : 5);
  }
}

// One convolution without the pattern: its activation alone is stored.
TEST(ChainFallback, OnlyTheConvolutionThatLacksIt) {
  const Model model = model_of(networks()[0]);
  const Step fused = chained(model, [](const Graph&, const Node& node) {
    return node.op != &op_scale_bias_relu_conv2d_stats || node.name != "layer1.0.conv2";
  });
  EXPECT_EQ(count(fused.graph, "scale_bias_relu_conv2d_stats"), 4);
  EXPECT_EQ(count(fused.graph, "scale_bias_relu_conv2d_wgrad"), 4);
  EXPECT_EQ(count(fused.graph, "scale_bias_relu"), 7);
  expect_close(run(model, fused), run(model, step_of(model)));
}

TEST(ChainFallback, AnActivationThatIsReadOutsideIsStored) {
  const Model model = model_of(networks()[0]);
  Step step = step_of(model);
  for (const Node& node : step.graph.nodes()) {
    if (node.op == &op_conv2d && node.name == "layer1.0.conv2") step.keep.push_back(node.inputs[0]);
  }
  const Value kept = step.keep.back();
  fuse_conv_norm_chain(step.graph, step.keep, [](auto&&...) { return true; });
  EXPECT_EQ(step.graph.nodes()[static_cast<size_t>(step.graph.producer(kept))].op,
            &op_scale_bias_relu);
  EXPECT_EQ(count(step.graph, "scale_bias_relu"), 7);
}

// The stem's activation is pooled; a block's sum takes a projection's batch norm as it is.
TEST(ChainShortcut, ProjectionsAreNormalisedInTheSum) {
  const Graph graph = chained(model_of(networks()[0])).graph;
  std::map<size_t, int> inputs;
  for (const Node& node : graph.nodes()) {
    if (node.op == &op_scale_bias_relu) ++inputs[node.inputs.size()];
  }
  EXPECT_EQ(inputs, (std::map<size_t, int>{{3, 1}, {4, 3}, {6, 2}}));
}

// A batch norm without a ReLU, read by a convolution: normalised by what norm_finalize found.
TEST(ChainLinear, BatchNormWithoutReluKeepsItsNumbers) {
  Model model = model_of(networks()[0]);
  const auto graph_of = [&](bool chain) {
    Graph graph;
    const Value x = graph.input("x", {DType::f32, {4, 6, 6, 8}});
    const Value w = graph.parameter("w", {DType::f32, {8, 3, 3, 8}});
    BatchNormWeights weights;
    weights.gamma = graph.parameter("gamma", {DType::f32, {8}});
    weights.beta = graph.parameter("beta", {DType::f32, {8}});
    weights.running_mean = graph.state("running_mean", {DType::f32, {8}});
    weights.running_var = graph.state("running_var", {DType::f32, {8}});
    const Value y = conv2d(graph, x, w, {.pad = {1, 1, 1, 1}});
    const Value normalised = batch_norm_train(graph, y, weights).y;
    const Value again = conv2d(graph, normalised, w, {.pad = {1, 1, 1, 1}});
    const Value seed = graph.input("labels", graph.desc(again));
    const std::vector<Value> parameters = graph.leaves(Role::parameter);
    const std::vector<Seed> seeds{{again, seed}};
    std::vector<Value> keep = differentiate(graph, seeds, parameters);
    keep.push_back(again);
    if (chain) fuse_conv_norm_chain(graph, keep, [](auto&&...) { return true; });
    return std::pair(graph, keep);
  };
  const auto numbers = [&](bool chain) {
    const auto [graph, keep] = graph_of(chain);
    EXPECT_EQ(count(graph, "batch_norm"), chain ? 1 : 0);
    EXPECT_EQ(count(graph, "conv2d_stats"), chain ? 1 : 0);
    const auto backend = make_backend(Device::cpu, {.threads = 2});
    CompileOptions options;
    options.outputs = keep;
    Program program = compile(graph, *backend, options);
    RandomSequence random(3, Purpose::init, 1, 1);
    for (int id = 0; id < graph.value_count(); ++id) {
      if (graph.info({id}).role == Role::activation) continue;
      const Tensor leaf = program.tensor({id});
      for (int64_t i = 0; i < leaf.elements(); ++i) {
        leaf.as<float>()[i] = static_cast<float>(random.normal());
      }
    }
    program.run(*backend->stream(Priority::normal));
    Numbers made;
    for (size_t i = 0; i < keep.size(); ++i) {
      const Tensor tensor = program.tensor(keep[i]);
      made[std::to_string(i)] = {tensor.as<float>(), tensor.as<float>() + tensor.elements()};
    }
    return made;
  };
  expect_close(numbers(true), numbers(false));
}

}  // namespace
}  // namespace kd::test
