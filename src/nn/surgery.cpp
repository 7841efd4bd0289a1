#include "kd/surgery.h"

#include <algorithm>

#include "core/names.h"
#include "kd/error.h"
#include "kd/layers.h"
#include "kd/ops.h"
#include "nn/initialise.h"

namespace kd {
namespace {

// Where each name is among the model's classes.
std::vector<int64_t> places_of(const Model& model, const std::vector<std::string>& names,
                               const std::string& who) {
  std::vector<int64_t> places;
  for (const std::string& name : names) {
    const auto at = std::ranges::find(model.class_names, name);
    if (at == model.class_names.end()) {
      fail(ErrorCode::input, "the {} does not know the class '{}' of the data{}", who, name,
           suggestion(name, model.class_names));
    }
    places.push_back(at - model.class_names.begin());
  }
  return places;
}

Tensor rows_of(const Tensor& from, const std::vector<int64_t>& places) {
  Shape shape = from.shape();
  const int64_t each = from.elements() / shape[0];
  shape.set(0, static_cast<int64_t>(places.size()));
  Tensor to = Tensor::host({DType::f32, shape});
  for (size_t i = 0; i < places.size(); ++i) {
    std::copy_n(from.as<float>() + places[i] * each, each,
                to.as<float>() + static_cast<int64_t>(i) * each);
  }
  return to;
}

// The linear layer that makes the logits and nothing else, or nullptr.
const Node* head_of(const Model& model) {
  const int at = model.graph.producer(model.logits);
  if (at < 0) return nullptr;
  const Node& node = model.graph.nodes()[static_cast<size_t>(at)];
  if (node.op->name != "linear") return nullptr;
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    if (!model.tensors.contains(model.graph.info(node.inputs[i]).name)) return nullptr;
  }
  return &node;
}

// Copies the model up to `ends` into `made`, whose graph is empty.
std::vector<Value> copy_up_to(Model& made, const Model& model, std::vector<Value> ends) {
  const Value input =
      made.graph.input(model.graph.info(model.input).name, model.graph.desc(model.input));
  made.input = input;
  ends = splice(made.graph, model.graph, ends, {.known = {{model.input, input}}});
  for (const Role role : {Role::parameter, Role::state}) {
    for (const Value v : made.graph.leaves(role)) {
      const std::string& name = made.graph.info(v).name;
      made.tensors[name] = model.tensors.at(name);
    }
  }
  return ends;
}

Model empty_like(const Model& model) {
  Model made;
  made.name = model.name;
  made.preprocess = model.preprocess;
  made.class_names = model.class_names;
  return made;
}

Model with_fewer_rows(const Model& model, const Node& head, const std::vector<int64_t>& places) {
  Model made = empty_like(model);
  const Value x = copy_up_to(made, model, {head.inputs[0]})[0];
  std::vector<Value> inputs{x};
  for (size_t i = 1; i < head.inputs.size(); ++i) {
    const std::string& name = model.graph.info(head.inputs[i]).name;
    made.tensors[name] = rows_of(model.tensors.at(name), places);
    inputs.push_back(made.graph.parameter(name, made.tensors[name].desc()));
  }
  made.logits = made.graph.add(*head.op, inputs, head.attrs, head.name)[0];
  return made;
}

// No linear layer at the end: a product with ones and zeros picks the logits, exactly.
Model with_selection(const Model& model, const std::vector<int64_t>& places) {
  Model made = model;
  const auto count = static_cast<int64_t>(places.size());
  const Tensor pick = Tensor::host({DType::f32, {count, model.classes()}});
  std::fill_n(pick.as<float>(), pick.elements(), 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    pick.as<float>()[i * model.classes() + places[static_cast<size_t>(i)]] = 1;
  }
  made.tensors["select_classes.weight"] = pick;
  const Value w = made.graph.parameter("select_classes.weight", pick.desc());
  made.logits = linear(made.graph, made.logits, w, {}, "select_classes");
  return made;
}

}  // namespace

Model select_classes(const Model& model, const std::vector<std::string>& names,
                     const std::string& who) {
  if (model.class_names == names) return model;
  if (model.class_names.empty() || names.empty()) {
    KD_CHECK(names.empty() || model.classes() == static_cast<int64_t>(names.size()),
             "the {} has {} classes, the data has {}", who, model.classes(), names.size());
    return model;
  }
  const std::vector<int64_t> places = places_of(model, names, who);
  const Node* head = head_of(model);
  Model made =
      head != nullptr ? with_fewer_rows(model, *head, places) : with_selection(model, places);
  made.class_names = names;
  return made;
}

Model replace_head(const Model& model, const NewHead& head) {
  Model made = empty_like(model);
  made.class_names.clear();
  Value x = copy_up_to(made, model, {find_layer(model, "features")})[0];
  Graph& graph = made.graph;
  if (graph.shape(x).rank() == 4) x = flatten(graph, global_avg_pool(graph, x, "avgpool"));
  const auto layer = [&](int64_t width, const std::string& name) {
    if (head.dropout > 0) x = dropout(graph, x, {}, {head.dropout, 0}, name + ".dropout");
    const Value w = graph.parameter(name + ".weight", {DType::f32, {width, graph.shape(x)[1]}});
    x = linear(graph, x, w, graph.parameter(name + ".bias", {DType::f32, {width}}), name);
  };
  for (size_t i = 0; i < head.hidden.size(); ++i) {
    layer(head.hidden[i], format("head.{}", i));
    x = relu(graph, x, format("head.{}.relu", i));
  }
  layer(head.classes, "fc");
  made.logits = x;
  for (auto& [name, tensor] : initial_tensors(graph, head.seed)) {
    made.tensors.emplace(name, tensor);  // what was copied stays
  }
  return made;
}

std::vector<std::string> take_weights(Model& model, const Model& from) {
  std::vector<std::string> taken;
  std::vector<Value> rest;
  std::vector<std::string> used;
  const auto leaves = [](const Model& m) {
    std::vector<Value> all = m.graph.leaves(Role::parameter);
    for (const Value v : m.graph.leaves(Role::state)) all.push_back(v);
    return all;
  };
  for (const Value v : leaves(model)) {
    const std::string& name = model.graph.info(v).name;
    const auto same = from.tensors.find(name);
    if (same != from.tensors.end() && same->second.desc() == model.tensors.at(name).desc()) {
      model.tensors[name] = same->second;
      taken.push_back(name);
      used.push_back(name);
    } else {
      rest.push_back(v);
    }
  }
  const std::vector<Value> theirs = leaves(from);
  auto next = theirs.begin();
  for (const Value v : rest) {
    const ValueInfo& own = model.graph.info(v);
    if (own.desc.shape.rank() < 2) continue;  // vectors follow no order that can be trusted
    const auto at = std::find_if(next, theirs.end(), [&](Value t) {
      return from.graph.desc(t) == own.desc &&
             std::ranges::find(used, from.graph.info(t).name) == used.end();
    });
    if (at == theirs.end()) continue;
    const std::string& name = from.graph.info(*at).name;
    model.tensors[own.name] = from.tensors.at(name);
    taken.push_back(own.name + " from " + name);
    next = at + 1;
  }
  return taken;
}

}  // namespace kd
