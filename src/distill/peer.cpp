#include "distill/peer.h"

#include "kd/error.h"
#include "kd/ops.h"
#include "kd/passes.h"
#include "kd/random.h"
#include "kd/trainer.h"

namespace kd {
namespace {

constexpr int64_t kDropouts = 1 << 20;  // its dropouts have other numbers than the student's

std::vector<Value> other_dropout(Graph& graph, const Node& node, const std::vector<Value>& in) {
  if (node.op->name != "dropout") return {};
  DropoutAttrs attrs = node.attr<DropoutAttrs>();
  attrs.tensor_id += kDropouts;
  return {dropout(graph, in[0], in[1], attrs, node.name)};
}

}  // namespace

Peer add_peer(Graph& graph, const Model& model, Value pictures, const std::string& prefix) {
  const TensorDesc desc = graph.desc(pictures);
  const ModelGraph made =
      lower_precision(instantiate(model, desc.shape[0], Mode::training), desc.dtype);
  if (made.graph.desc(made.input) != desc) {
    fail(ErrorCode::usage, "the model {} takes pictures of {}, the student {}", model.name,
         made.graph.shape(made.input), desc.shape);
  }
  Splice how{.known = {{made.input, pictures}}, .rewrite = other_dropout};
  how.leaf = [&](Graph& to, const ValueInfo& value) {
    if (value.role != Role::input) return to.leaf(value.role, prefix + value.name, value.desc);
    const Value known = to.find(value.name);  // the key of dropout
    return known ? known : to.leaf(value.role, value.name, value.desc);
  };
  Peer peer{splice(graph, made.graph, std::vector<Value>{made.logits}, how)[0], {}};
  for (const auto& [name, tensor] : model.tensors) {
    if (graph.find(prefix + name)) peer.initial[prefix + name] = tensor;
  }
  return peer;
}

std::map<std::string, Model> load_peers(const RunConfig& config, const Model& student) {
  std::map<std::string, Model> peers;
  const std::vector<std::string>& names = student.class_names;
  const auto classes = names.empty() ? student.classes() : static_cast<int64_t>(names.size());
  const auto seed = random_words(static_cast<uint64_t>(config.seed), Purpose::init, 1, 0, 0)[0];
  const auto add = [&](const std::string& path) {
    if (path.empty() || peers.contains(path)) return;
    Model peer = load_or_build(path, classes, int64_t{seed});
    if (std::filesystem::path(path).extension() == ".json") peer.preprocess = student.preprocess;
    const bool fits = peer.classes() == classes &&
                      (peer.class_names.empty() || names.empty() || peer.class_names == names) &&
                      peer.preprocess == student.preprocess &&
                      peer.graph.shape(peer.input) == student.graph.shape(student.input);
    if (!fits) {
      fail(ErrorCode::usage,
           "{}: a model that learns beside the student must have its {} classes and take its "
           "pictures ({}, with the same mean and std); it has {} and takes {}",
           path, classes, student.graph.shape(student.input), peer.classes(),
           peer.graph.shape(peer.input));
    }
    peer.class_names = names;
    peers.emplace(path, std::move(peer));
  };
  for (int64_t i = 0; i < stage_count(config); ++i) {
    for (const TermSpec& spec : loss_terms(at_stage(config, i))) add(spec.model);
  }
  return peers;
}

std::string peer_prefix(const TermSpec& spec) { return "term." + spec.name + "."; }

}  // namespace kd
