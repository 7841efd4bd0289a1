// fuse_conv_norm_chain in f16, as the engine trains: on the kernels, with what cuDNN computes
// rounded to 16 bits, a step's logits and gradients stay those of the graph with fused batch norms.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "cases/case.h"
#include "kd/passes.h"
#include "kd/program.h"
#include "ops/table.h"
#include "simt/backend.h"

namespace kd::test {
namespace {

using Numbers = std::map<std::string, Array>;

int64_t count(const Graph& graph, const OpDef& op) {
  return std::ranges::count(graph.nodes(), &op, &Node::op);
}

// Leaves hold the model's tensors, or normal numbers where it has none of that name.
void fill_leaves(const Model& model, const Graph& graph, const Program& program) {
  Random random(5);
  for (int id = 0; id < graph.value_count(); ++id) {
    const ValueInfo& leaf = graph.info({id});
    if (leaf.role == Role::activation) continue;
    Array array = Array::zeros(dims_of(leaf.desc.shape));
    normal()(array, random, {});
    const auto at = model.tensors.find(leaf.name);
    write(at == model.tensors.end() ? array : to_array(at->second), program.tensor({id}));
  }
}

Numbers step(bool chain) {
  const Model model =
      build_model(std::filesystem::path(KD_SOURCE_DIR) / "tests/unit/passes_network.json", 0, 5);
  ModelGraph low = lower_precision(instantiate(model, 4, Mode::training), DType::f16);
  Graph& graph = low.graph;
  const Value logits = low.logits;
  fuse_bn_relu(graph, std::vector<Value>{logits});
  const Value seed = graph.input("seed", graph.desc(logits));
  const std::vector<Value> parameters = graph.leaves(Role::parameter);
  std::vector<Value> read = differentiate(graph, std::vector<Seed>{{logits, seed}}, parameters);
  read.push_back(logits);
  if (chain) {
    fuse_conv_norm_chain(graph, read, [](const Graph&, const Node&) { return true; });
    EXPECT_EQ(count(graph, op_batch_norm_relu_train), 0);
    EXPECT_GT(count(graph, op_scale_bias_relu_conv2d_wgrad), 0);
  }
  const auto backend = make_simt_backend();
  CompileOptions options;
  options.outputs = read;
  Program program = compile(graph, *backend, options);
  fill_leaves(model, graph, program);
  const auto stream = backend->stream(Priority::normal);
  program.run(*stream);
  Numbers numbers{{"logits", to_array(program.tensor(logits))}};
  for (size_t i = 0; i < parameters.size(); ++i) {
    numbers[graph.info(parameters[i]).name] = to_array(program.tensor(read[i]));
  }
  for (const Value v : graph.leaves(Role::state)) {
    numbers[graph.info(v).name] = to_array(program.tensor(v));
  }
  return numbers;
}

double norm_of(const Array& array) {
  double sum = 0;
  for (const double value : array.data) sum += value * value;
  return std::sqrt(sum);
}

TEST(ChainSimt, KeepsAStepInF16) {
  const Numbers want = step(false), got = step(true);
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, wanted] : want) {
    Array off = got.at(name);
    for (int64_t i = 0; i < off.size(); ++i) off.at(i) -= wanted.at(i);
    EXPECT_GT(norm_of(wanted), 0) << name;
    EXPECT_LE(norm_of(off), 0.02 * norm_of(wanted)) << name;
  }
}

}  // namespace
}  // namespace kd::test
