// Rewrites give the numbers of what they replace, and take what they should. One case a file of
// src/passes; a rewrite without a case fails Coverage.
#include "kd/passes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "kd/backend.h"
#include "kd/program.h"
#include "kd/random.h"
#include "ops/table.h"

namespace kd {
namespace {

// A network with every place a rewrite looks at: stem, both shortcuts, bottleneck blocks. Batch
// statistics and scales are random, so that nothing folds into itself unseen.
Model network() {
  Model model =
      build_model(std::filesystem::path(KD_SOURCE_DIR) / "tests/unit/passes_network.json", 0, 5);
  RandomSequence random(11, Purpose::init, 1, 0);
  for (const auto& [name, tensor] : model.tensors) {
    if (tensor.shape().rank() != 1) continue;
    const bool variance = name.ends_with("running_var");
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      const double value = variance ? random.uniform(0.3, 3) : random.uniform(-1, 1) + 0.5;
      tensor.as<float>()[i] = static_cast<float>(value);
    }
  }
  return model;
}

void fill(const Tensor& tensor, uint32_t salt) {
  RandomSequence random(7, Purpose::init, salt, 1);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.as<float>()[i] = static_cast<float>(random.normal());
  }
}

using Values = std::map<std::string, std::vector<float>>;

std::vector<float> copy_of(const Tensor& t) {
  return {t.as<float>(), t.as<float>() + t.elements()};
}

// Runs the graph on the model's own tensors and a random picture; returns the named outputs.
Values run(Graph graph, const Model& model, Value input,
           const std::map<std::string, Value>& outputs) {
  const auto backend = make_backend(Device::cpu, {.threads = 2});
  CompileOptions options;
  for (const auto& [name, tensor] : model.tensors) {
    const Value leaf = graph.find(name);
    if (!leaf) continue;
    const Tensor own = Tensor::host(tensor.desc());
    std::copy_n(tensor.as<float>(), tensor.elements(), own.as<float>());
    options.bindings.push_back({leaf, own});
  }
  for (const auto& [name, value] : outputs) options.outputs.push_back(value);
  const Value seed = graph.find("seed");
  Program program = compile(std::move(graph), *backend, options);
  fill(program.tensor(input), 1);
  if (seed) fill(program.tensor(seed), 2);
  const auto stream = backend->stream(Priority::normal);
  program.run(*stream);
  backend->synchronize(*stream);
  Values values;
  for (const auto& [name, value] : outputs) values[name] = copy_of(program.tensor(value));
  return values;
}

void expect_close(const Values& got, const Values& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, wanted] : want) {
    const std::vector<float>& values = got.at(name);
    ASSERT_EQ(values.size(), wanted.size()) << name;
    double scale = 0, worst = 0;
    for (const float x : wanted) scale = std::max(scale, std::abs(double{x}));
    for (size_t i = 0; i < wanted.size(); ++i) {
      worst = std::max(worst, std::abs(double{values[i]} - wanted[i]));
    }
    EXPECT_GT(scale, 0) << name;
    EXPECT_LE(worst, tolerance * scale) << name;
  }
}

int64_t count(const Graph& graph, const OpDef& op) {
  return std::ranges::count(graph.nodes(), &op, &Node::op);
}

void fold_bn_case() {
  const Model model = network(), folded = fold_bn(model);
  EXPECT_GT(count(model.graph, op_batch_norm), 0);
  EXPECT_EQ(count(folded.graph, op_batch_norm), 0);
  EXPECT_EQ(count(folded.graph, op_conv2d), count(model.graph, op_conv2d));
  const ModelGraph a = instantiate(model, 3, Mode::inference);
  const ModelGraph b = instantiate(folded, 3, Mode::inference);
  expect_close(run(b.graph, folded, b.input, {{"logits", b.logits}}),
               run(a.graph, model, a.input, {{"logits", a.logits}}), 2e-6);
}

void fuse_conv_epilogue_case() {
  const Model folded = fold_bn(network());
  const ModelGraph plain = instantiate(folded, 3, Mode::inference);
  Graph fused = plain.graph;
  const std::vector<Value> keep{plain.logits};
  fuse_conv_epilogue(fused, keep);
  EXPECT_EQ(count(fused, op_conv2d), 0);
  EXPECT_EQ(count(fused, op_add), 0);
  EXPECT_EQ(count(fused, op_conv2d_bias_act), count(plain.graph, op_conv2d));
  expect_close(run(fused, folded, plain.input, {{"logits", plain.logits}}),
               run(plain.graph, folded, plain.input, {{"logits", plain.logits}}), 2e-6);
  // What lies between and is asked for stays.
  Graph kept = plain.graph;
  Value between;
  for (const Node& node : plain.graph.nodes()) {
    if (node.op == &op_conv2d && !between) between = node.outputs[0];
  }
  const std::vector<Value> keep_both{plain.logits, between};
  fuse_conv_epilogue(kept, keep_both);
  EXPECT_EQ(count(kept, op_conv2d), 1);
}

using Rewrite = std::function<void(Graph&, std::span<const Value> read)>;

// The logits and the gradient of every parameter, with rewrites before and after differentiate;
// `graph` is left as it is run.
Values trained(Graph& graph, const Model& model, const ModelGraph& made,
               const Rewrite& after = {}) {
  const Value seed = graph.input("seed", graph.desc(made.logits));
  const std::vector<Value> parameters = graph.leaves(Role::parameter);
  const std::vector<Seed> seeds{{made.logits, seed}};
  std::vector<Value> read = differentiate(graph, seeds, parameters);
  std::map<std::string, Value> outputs{{"logits", made.logits}};
  for (size_t i = 0; i < parameters.size(); ++i) {
    outputs[graph.info(parameters[i]).name] = read[i];
  }
  read.push_back(made.logits);
  if (after) after(graph, read);
  return run(graph, model, made.input, outputs);
}

void fuse_bn_relu_case() {
  const Model model = network();
  const ModelGraph made = instantiate(model, 4, Mode::training);
  Graph plain = made.graph, fused = made.graph;
  const std::vector<Value> keep{made.logits};
  fuse_bn_relu(fused, keep);
  EXPECT_GT(count(fused, op_batch_norm_relu_train), 0);
  EXPECT_EQ(count(fused, op_activation), 0);
  expect_close(trained(fused, model, made), trained(plain, model, made), 2e-5);
}

void use_relu_masks_case() {
  const Model model = network();
  const ModelGraph made = instantiate(model, 4, Mode::training);
  Graph plain = made.graph;
  const std::vector<Value> keep{made.logits};
  fuse_bn_relu(plain, keep);
  const int64_t pairs = count(plain, op_batch_norm_relu_train);
  Graph masked = plain;
  const Values got = trained(masked, model, made,
                             [](Graph& graph, std::span<const Value>) { use_relu_masks(graph); });
  EXPECT_GT(pairs, 0);
  EXPECT_EQ(count(masked, op_batch_norm_relu_mask_train), pairs);
  EXPECT_EQ(count(masked, op_batch_norm_relu_mask_backward), pairs);
  EXPECT_EQ(count(masked, op_batch_norm_relu_backward), 0);
  expect_close(got, trained(plain, model, made), 0);
}

void fuse_stem_pool_case() {
  const Model model = network();
  const ModelGraph made = instantiate(model, 4, Mode::training);
  Graph plain = made.graph;
  const std::vector<Value> keep{made.logits};
  fuse_bn_relu(plain, keep);
  ASSERT_EQ(count(plain, op_max_pool), 1);
  Graph fused = plain, kept = plain;
  fuse_stem_pool(fused, keep);
  EXPECT_EQ(count(fused, op_batch_norm_relu_max_pool_train), 1);
  EXPECT_EQ(count(fused, op_max_pool), 0);
  // What is pooled and asked for stays.
  std::vector<Value> keep_both = keep;
  for (const Node& node : plain.nodes()) {
    if (node.op == &op_max_pool) keep_both.push_back(node.inputs[0]);
  }
  fuse_stem_pool(kept, keep_both);
  EXPECT_EQ(count(kept, op_max_pool), 1);
  expect_close(trained(fused, model, made), trained(plain, model, made), 2e-6);
}

// chain_test.cpp says more.
void fuse_conv_norm_chain_case() {
  const Model model = network();
  const ModelGraph made = instantiate(model, 4, Mode::training);
  Graph plain = made.graph;
  const std::vector<Value> keep{made.logits};
  fuse_bn_relu(plain, keep);
  Graph fused = plain;
  const Values got = trained(fused, model, made, [](Graph& graph, std::span<const Value> read) {
    fuse_conv_norm_chain(graph, read, [](const Graph&, const Node&) { return true; });
    EXPECT_GT(count(graph, op_scale_bias_relu_conv2d_stats), 0);
    EXPECT_EQ(count(graph, op_conv2d), 0);
  });
  expect_close(got, trained(plain, model, made), 2e-5);
}

// The numbers are looked at by tests/simt, on an engine that computes in 16 bits.
void lower_precision_case() {
  const ModelGraph plain = instantiate(network(), 4, Mode::training);
  const ModelGraph low = lower_precision(plain, DType::f16);
  EXPECT_EQ(low.graph.desc(low.logits).dtype, DType::f32);
  const auto dtype = [&](Value v) { return low.graph.desc(v).dtype; };
  for (const Node& node : low.graph.nodes()) {
    if (node.op == &op_conv2d) {
      EXPECT_EQ(dtype(node.inputs[0]), DType::f16);
      EXPECT_EQ(dtype(node.inputs[1]), DType::f16);
      EXPECT_EQ(dtype(node.outputs[0]), DType::f16);
    } else if (node.op == &op_batch_norm_train) {
      for (size_t i = 1; i <= 4; ++i) EXPECT_EQ(dtype(node.inputs[i]), DType::f32);
      EXPECT_EQ(dtype(node.outputs[0]), DType::f16);
    } else if (node.op == &op_linear) {
      EXPECT_EQ(dtype(node.inputs[1]), DType::f16);
      EXPECT_EQ(dtype(node.inputs[2]), DType::f32);
    }
  }
  EXPECT_GT(count(low.graph, op_conv2d), 0);
}

// By the name of the rewrite's file.
const std::map<std::string, std::function<void()>>& cases() {
  static const std::map<std::string, std::function<void()>> all{
      {"fold_bn", fold_bn_case},
      {"fuse_conv_epilogue", fuse_conv_epilogue_case},
      {"fuse_bn_relu", fuse_bn_relu_case},
      {"lower_precision", lower_precision_case},
      {"fuse_stem_pool", fuse_stem_pool_case},
      {"use_relu_masks", use_relu_masks_case},
      {"fuse_conv_norm_chain", fuse_conv_norm_chain_case}};
  return all;
}

class PassTest : public testing::TestWithParam<std::string> {};
TEST_P(PassTest, KeepsTheNumbers) { cases().at(GetParam())(); }

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const auto& entry : cases()) list.push_back(entry.first);
  return list;
}
INSTANTIATE_TEST_SUITE_P(Passes, PassTest, testing::ValuesIn(names()),
                         [](const auto& of) { return of.param; });

TEST(PassCoverage, EveryRewriteHasACase) {
  std::set<std::string> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(KD_SOURCE_DIR) / "src/passes")) {
    if (entry.path().extension() == ".cpp") files.insert(entry.path().stem().string());
  }
  EXPECT_FALSE(files.empty());
  for (const std::string& file : files) EXPECT_TRUE(cases().contains(file)) << file;
}

}  // namespace
}  // namespace kd
