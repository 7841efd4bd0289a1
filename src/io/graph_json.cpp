#include "io/graph_json.h"

#include <functional>

#include "ops/table.h"

namespace kd {
namespace {

// One field of an attribute struct, to and from JSON; enums go by name.
struct AttrsWriter {
  Json& json;
  template <class T>
  void operator()(const char* name, T& value) {
    if constexpr (std::is_same_v<T, Activation> || std::is_same_v<T, DType>) {
      json[name] = name_of(value);
    } else if constexpr (std::is_enum_v<T>) {
      json[name] = static_cast<int>(value);
    } else {
      json[name] = value;
    }
  }
};
struct AttrsReader {
  StrictObject& object;
  template <class T>
  void operator()(const char* name, T& value) {
    if constexpr (std::is_same_v<T, Activation>) {
      value = activation_from_name(object.required<std::string>(name));
    } else if constexpr (std::is_same_v<T, DType>) {
      value = dtype_from_name(object.required<std::string>(name));
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(object.required<std::underlying_type_t<T>>(name));
    } else {
      value = object.required<T>(name);
    }
  }
};

struct AttrsCodec {
  Json (*write)(const std::any&);
  std::any (*read)(const Json&, const std::string& where);
};

template <class Attrs>
AttrsCodec codec() {
  return {[](const std::any& any) {
            Attrs attrs = std::any_cast<const Attrs&>(any);
            Json json = Json::object();
            attrs.fields(AttrsWriter{json});
            return json;
          },
          [](const Json& json, const std::string& where) -> std::any {
            Attrs attrs;
            StrictObject object(json, where);
            attrs.fields(AttrsReader{object});
            object.finish();
            return attrs;
          }};
}

// One line an op, made by the list. NOLINTNEXTLINE(readability-function-size)
AttrsCodec codec_of(const OpDef* op) {
#define KD_OP(name, attrs) \
  if (op == &op_##name) return codec<attrs>();
#include "ops/ops.def"
#undef KD_OP
  fail(ErrorCode::internal, "op '{}' is not in ops.def", op->name);
}

constexpr std::string_view kRoles[] = {"activation", "input", "parameter", "state"};

const OpDef& op_named(const std::string& name, const std::string& where) {
  const OpDef* op = find_op(name);
  if (op != nullptr) {
    // What updates its inputs, and gradients, are of a training step.
    const bool inference = op->updates == 0 && (op->vjp != nullptr || op == &op_conv2d_bias_act ||
                                                op == &op_resize_images || op == &op_fill);
    KD_CHECK(inference, "{}: '{}' is an op of training steps, not of models", where, name);
    return *op;
  }
  std::vector<std::string> names;
  for (const OpDef* known : all_ops()) names.emplace_back(known->name);
  fail(ErrorCode::input, "{}: unknown op '{}'{}", where, name, suggestion(name, names));
}

using Names = std::map<std::string, Value>;

Value lookup(const Names& names, const std::string& name, const std::string& where) {
  const auto at = names.find(name);
  KD_CHECK(at != names.end(), "{}: '{}' is not made before it is used", where, name);
  return at->second;
}

void read_leaf(const Json& json, const std::string& where, Graph& graph, Names& names) {
  StrictObject object(json, where);
  const auto name = object.required<std::string>("name"),
             role = object.required<std::string>("role");
  const auto dims = object.required<std::vector<int64_t>>("shape");
  const DType dtype = dtype_from_name(object.required<std::string>("dtype"));
  object.finish();
  const auto* at = std::ranges::find(kRoles, role);
  KD_CHECK(at != std::end(kRoles) && at != std::begin(kRoles), "{}: unknown role '{}'", where,
           role);
  KD_CHECK(std::ranges::none_of(dims, [](int64_t size) { return size < 1; }),
           "{}: '{}' has a dimension below 1", where, name);
  names[name] = graph.leaf(static_cast<Role>(at - std::begin(kRoles)), name,
                           {dtype, Shape(std::span<const int64_t>(dims))});
}

void read_node(const Json& json, const std::string& where, Graph& graph, Names& names) {
  StrictObject object(json, where);
  const OpDef& op = op_named(object.required<std::string>("op"), where);
  const auto name = object.required<std::string>("name");
  const auto inputs = object.required<std::vector<std::string>>("inputs");
  const auto outputs = object.required<std::vector<std::string>>("outputs");
  const std::any attrs = codec_of(&op).read(object.raw("attributes"), where + ": attributes");
  object.finish();
  std::vector<Value> values;
  for (const std::string& input : inputs) values.push_back(lookup(names, input, where));
  const std::vector<Value> made = graph.add(op, values, attrs, name);
  KD_CHECK(made.size() == outputs.size(), "{}: {} outputs, expected {}", where, outputs.size(),
           made.size());
  for (size_t i = 0; i < made.size(); ++i) {
    KD_CHECK(names.emplace(outputs[i], made[i]).second, "{}: '{}' is made twice", where,
             outputs[i]);
  }
}

}  // namespace

Json graph_to_json(const Model& model) {
  const Graph& graph = model.graph;
  // Activations are numbered in the order they are made, so a graph read back is written the same.
  std::map<int, std::string> activations;
  for (const Node& node : graph.nodes()) {
    for (const Value v : node.outputs) activations[v.id] = "v" + std::to_string(activations.size());
  }
  const auto name_of_value = [&](Value v) {
    const std::string& name = graph.info(v).name;
    return name.empty() ? activations.at(v.id) : name;
  };
  const auto names = [&](const std::vector<Value>& values) {
    std::vector<std::string> list;
    for (const Value v : values) list.push_back(name_of_value(v));
    return list;
  };
  Json json = {{"leaves", Json::array()}, {"nodes", Json::array()}};
  for (int id = 0; id < graph.value_count(); ++id) {
    const ValueInfo& value = graph.info({id});
    if (value.role == Role::activation) continue;
    const auto dims = value.desc.shape.dims();
    json["leaves"].push_back({{"name", value.name},
                              {"role", kRoles[static_cast<size_t>(value.role)]},
                              {"dtype", kd::name_of(value.desc.dtype)},
                              {"shape", std::vector<int64_t>(dims.begin(), dims.end())}});
  }
  for (const Node& node : graph.nodes()) {
    json["nodes"].push_back({{"op", node.op->name},
                             {"name", node.name},
                             {"inputs", names(node.inputs)},
                             {"outputs", names(node.outputs)},
                             {"attributes", codec_of(node.op).write(node.attrs)}});
  }
  json["input"] = name_of_value(model.input);
  json["logits"] = name_of_value(model.logits);
  return json;
}

void graph_from_json(const Json& json, const std::string& where, Model& model) {
  StrictObject object(json, where + ": graph");
  Names names;
  const auto each = [&](const char* list, const auto& read) {
    const Json& items = object.raw(list);
    KD_CHECK(items.is_array() && items.size() <= 10000, "{}: {} must be a list of at most 10000",
             object.where(), list);
    for (size_t i = 0; i < items.size(); ++i) {
      const std::string at = object.where() + ": " + list + "[" + std::to_string(i) + "]";
      read(items[i], at, model.graph, names);
    }
  };
  each("leaves", read_leaf);
  each("nodes", read_node);
  model.input = lookup(names, object.required<std::string>("input"), object.where());
  model.logits = lookup(names, object.required<std::string>("logits"), object.where());
  object.finish();
  const Shape &in = model.graph.shape(model.input), &out = model.graph.shape(model.logits);
  KD_CHECK(in.rank() == 4 && in[0] == 1, "{}: the input is {}, expected (1, H, W, C)", where, in);
  KD_CHECK(out.rank() == 2 && out[0] == 1, "{}: the logits are {}, expected (1, classes)", where,
           out);
}

}  // namespace kd
