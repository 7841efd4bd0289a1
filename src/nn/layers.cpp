#include "kd/layers.h"

#include <algorithm>
#include <set>

#include "core/names.h"
#include "kd/error.h"

namespace kd {
namespace {

bool separates(char c) { return c == '.' || c == '/'; }

bool is_under(std::string_view path, std::string_view name) {
  return name.starts_with(path) && (name.size() == path.size() || separates(name[path.size()]));
}

// Every path and path above it, for suggestions.
std::vector<std::string> paths_of(const Graph& graph) {
  std::set<std::string> paths{"features", "logits"};
  for (const Node& node : graph.nodes()) {
    for (size_t i = 1; i <= node.name.size(); ++i) {
      if (i == node.name.size() || separates(node.name[i])) paths.insert(node.name.substr(0, i));
    }
  }
  return {paths.begin(), paths.end()};
}

// What the last linear layer on the way to the logits reads.
Value features_of(const Model& model) {
  Value v = model.logits;
  for (int at = model.graph.producer(v); at >= 0; at = model.graph.producer(v)) {
    const Node& node = model.graph.nodes()[static_cast<size_t>(at)];
    v = node.inputs[0];
    if (node.op->name == "linear") return v;
  }
  // No linear layer (a convolution makes the logits): what the last pooling reads, or the last map.
  const std::vector<Value> stages = stage_outputs(model);
  if (stages.empty()) {
    fail(ErrorCode::usage, "{}: no layer can serve as 'features'; name one", model.name);
  }
  return stages.back();
}

// What an activation reads; another value itself.
Value before_activation(const Graph& graph, Value v) {
  const int at = graph.producer(v);
  if (at < 0) return v;
  const Node& node = graph.nodes()[static_cast<size_t>(at)];
  return node.op->name == "activation" ? node.inputs[0] : v;
}

Value stage_of(const Model& model, std::string_view path) {
  const std::vector<Value> stages = stage_outputs(model);
  const bool pre = path.ends_with(":pre");
  const std::string number(path.substr(1, path.size() - (pre ? 5 : 1)));
  const auto count = static_cast<int64_t>(stages.size());
  int64_t at = 0;
  try {
    at = std::stoll(number);
  } catch (const std::exception&) {
    at = 0;
  }
  if (at == 0 || at > count || -at > count) {
    fail(ErrorCode::usage, "{}: '{}' names no stage; it has @1 to @{}, or @-{} to @-1", model.name,
         path, count, count);
  }
  const Value output = stages[static_cast<size_t>(at > 0 ? at - 1 : count + at)];
  return pre ? before_activation(model.graph, output) : output;
}

// Values that every path from the input to the logits goes through, in order.
std::vector<Value> waists(const Model& model) {
  const Graph& graph = model.graph;
  const std::vector<char> leads = ancestors(graph, std::vector<Value>{model.logits});
  const auto carries = [&](Value v) {  // a picture's way, not a weight's
    return leads[static_cast<size_t>(v.id)] != 0 &&
           (v == model.input || graph.info(v).role == Role::activation);
  };
  std::vector<int> last_use(static_cast<size_t>(graph.value_count()), -1);
  const auto& nodes = graph.nodes();
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!carries(nodes[i].outputs[0])) continue;
    for (const Value v : nodes[i].inputs) last_use[static_cast<size_t>(v.id)] = static_cast<int>(i);
  }
  std::vector<Value> found;
  int busy_until = last_use[static_cast<size_t>(model.input.id)];  // by what was made before
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Value v = nodes[i].outputs[0];
    if (!carries(v)) continue;
    if (busy_until <= static_cast<int>(i)) found.push_back(v);
    busy_until = std::max(busy_until, last_use[static_cast<size_t>(v.id)]);
  }
  return found;
}

bool glob(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (size_t i = 0; i <= text.size(); ++i) {
      if (glob(pattern.substr(1), text.substr(i))) return true;
    }
    return false;
  }
  if (text.empty() || (pattern[0] != '?' && pattern[0] != text[0])) return false;
  return glob(pattern.substr(1), text.substr(1));
}

}  // namespace

std::vector<Value> stage_outputs(const Model& model) {
  std::vector<Value> stages;
  std::array<int64_t, 2> size{0, 0};
  for (const Value v : waists(model)) {
    const Shape& shape = model.graph.shape(v);
    if (shape.rank() != 4 || shape[1] * shape[2] <= 1) continue;
    const std::array<int64_t, 2> now{shape[1], shape[2]};
    if (now != size) stages.push_back(v);
    stages.back() = v;
    size = now;
  }
  return stages;
}

Value find_layer(const Model& model, std::string_view path) {
  if (path == "logits") return model.logits;
  if (path == "features") return features_of(model);
  if (path.starts_with('@')) return stage_of(model, path);
  const size_t colon = path.rfind(':');
  const std::string_view op = colon == path.npos ? "" : path.substr(colon + 1);
  const std::string_view under = path.substr(0, colon);
  Value found;
  for (const Node& node : model.graph.nodes()) {
    if (is_under(under, node.name) && (op.empty() || node.op->name == op)) found = node.outputs[0];
  }
  if (!found) {
    fail(ErrorCode::usage, "{}: no layer '{}'{}", model.name, path,
         suggestion(std::string(under), paths_of(model.graph)));
  }
  return found;
}

bool matches_layer(std::string_view pattern, std::string_view name) {
  for (size_t i = 1; i <= name.size(); ++i) {
    if ((i == name.size() || separates(name[i])) && glob(pattern, name.substr(0, i))) return true;
  }
  return false;
}

}  // namespace kd
