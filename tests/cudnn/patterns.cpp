#include "cudnn/patterns.h"

#include <algorithm>
#include <map>
#include <set>

#include "cases/case.h"
#include "kd/model.h"
#include "kd/passes.h"

namespace kd::test {
namespace {

void collect(const Graph& graph, Wanted& wanted) {
  std::set<std::string> seen;
  for (const cuda::Pattern& pattern : wanted.patterns) seen.insert(pattern.key());
  for (const Node& node : graph.nodes()) {
    if (!node.op->name.starts_with("conv2d")) continue;
    ++wanted.nodes;
    const auto pattern = cuda::pattern_of(graph, node);
    if (!pattern) {
      ++wanted.no_pattern;
    } else if (seen.insert(pattern->key()).second) {
      wanted.patterns.push_back(*pattern);
    }
  }
}

// Kept: filling a large model with random weights takes longer than its plans.
const Model& model_of(const std::string& name) {
  static std::map<std::string, Model> models;
  auto at = models.find(name);
  if (at == models.end()) {
    const auto path = std::filesystem::path(KD_SOURCE_DIR) / "models" / (name + ".json");
    at = models.emplace(name, build_model(path, 0, 1)).first;
  }
  return at->second;
}

// Seeds each of `outputs` with a gradient and differentiates by all trained leaves and `more`.
void append_gradients(Graph& graph, Value output, std::vector<Value> wrt) {
  const std::vector<Seed> seeds{{output, graph.input("seed", graph.desc(output))}};
  differentiate(graph, seeds, wrt);
}

}  // namespace

Graph lowered(const Graph& graph, DType dtype) {
  std::set<std::string> stays;
  for (const Node& node : graph.nodes()) {
    const bool norm = node.op->name.starts_with("batch_norm"), linear = node.op->name == "linear";
    for (size_t i = norm ? 1 : 2; (norm || linear) && i < node.inputs.size(); ++i) {
      if (graph.shape(node.inputs[i]).rank() == 1) stays.insert(graph.info(node.inputs[i]).name);
    }
  }
  return replay(graph,
                [&](const ValueInfo& leaf) {
                  TensorDesc desc = leaf.desc;
                  if (desc.dtype == DType::f32 && !stays.contains(leaf.name)) desc.dtype = dtype;
                  return desc;
                })
      .graph;
}

Wanted inference_patterns(const std::string& model, DType dtype, int64_t batch) {
  const Model folded = fold_bn(model_of(model));
  ModelGraph made = instantiate(folded, batch, Mode::inference);
  fuse_conv_epilogue(made.graph, std::vector<Value>{made.logits});
  Wanted wanted{model + " inference", {}};
  collect(lowered(made.graph, dtype), wanted);
  return wanted;
}

Wanted training_patterns(const std::string& model, DType dtype, int64_t batch) {
  ModelGraph made = instantiate(model_of(model), batch, Mode::training);
  fuse_bn_relu(made.graph, std::vector<Value>{made.logits});
  Graph graph = lowered(made.graph, dtype);
  append_gradients(graph, graph.nodes().back().outputs[0], graph.leaves(Role::parameter));
  Wanted wanted{model + " training", {}};
  collect(graph, wanted);
  return wanted;
}

Wanted case_patterns(DType dtype) {
  Wanted wanted{"case table", {}};
  for (const auto& family : {conv_cases(), conv_backward_cases(), conv_fused_cases()}) {
    for (const Case& a_case : family) {
      const Case typed = dtype == DType::f32 ? a_case : lowered(a_case, dtype);
      Graph graph;
      std::vector<Value> leaves, trained;
      for (const Leaf& leaf : typed.leaves) {
        leaves.push_back(graph.input(leaf.name, leaf.desc));
        if (leaf.differentiable) trained.push_back(leaves.back());
      }
      const Value output = typed.build(graph, leaves)[0];
      if (!trained.empty()) append_gradients(graph, output, trained);
      collect(graph, wanted);
    }
  }
  return wanted;
}

cuda::Pattern expanded(cuda::Pattern pattern) {
  pattern.kind = cuda::PatternKind::conv;
  pattern.activation = Activation::none;
  pattern.residual = false;
  return pattern;
}

}  // namespace kd::test
