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
    if (node.op->name.find("conv2d") == std::string_view::npos) continue;
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

// Seeds `output` with a gradient and appends the gradients of `wrt`.
std::vector<Value> append_gradients(Graph& graph, Value output, std::vector<Value> wrt) {
  const std::vector<Seed> seeds{{output, graph.input("seed", graph.desc(output))}};
  return differentiate(graph, seeds, wrt);
}

}  // namespace

Wanted inference_patterns(const std::string& model, DType dtype, int64_t batch) {
  const Model folded = fold_bn(model_of(model));
  ModelGraph made = lower_precision(instantiate(folded, batch, Mode::inference), dtype);
  fuse_conv_epilogue(made.graph, std::vector<Value>{made.logits});
  Wanted wanted{model + " inference", {}};
  collect(made.graph, wanted);
  return wanted;
}

Wanted training_patterns(const std::string& model, DType dtype, int64_t batch) {
  ModelGraph made = lower_precision(instantiate(model_of(model), batch, Mode::training), dtype);
  fuse_bn_relu(made.graph, std::vector<Value>{made.logits});
  append_gradients(made.graph, made.logits, made.graph.leaves(Role::parameter));
  Wanted wanted{model + " training", {}};
  collect(made.graph, wanted);
  return wanted;
}

Wanted chain_patterns(const std::string& model, int64_t batch) {
  ModelGraph made =
      lower_precision(instantiate(model_of(model), batch, Mode::training), DType::f16);
  fuse_bn_relu(made.graph, std::vector<Value>{made.logits});
  std::vector<Value> keep =
      append_gradients(made.graph, made.logits, made.graph.leaves(Role::parameter));
  keep.push_back(made.logits);
  fuse_conv_norm_chain(made.graph, keep, [](const Graph& graph, const Node& node) {
    return cuda::pattern_of(graph, node).has_value();
  });
  Wanted wanted{model + " chain", {}};
  collect(made.graph, wanted);
  return wanted;
}

Wanted case_patterns(DType dtype) {
  Wanted wanted{"case table", {}};
  for (const auto& family :
       {conv_cases(), conv_backward_cases(), conv_fused_cases(), conv_chain_cases()}) {
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
  using cuda::PatternKind;
  pattern.kind = pattern.kind == PatternKind::dgrad_relu_norm    ? PatternKind::dgrad
                 : pattern.kind == PatternKind::scale_relu_wgrad ? PatternKind::wgrad
                                                                 : PatternKind::conv;
  pattern.activation = Activation::none;
  pattern.residual = false;
  return pattern;
}

}  // namespace kd::test
