// .bin: a Model as a safetensors file. The format is described in README.md.
#include "core/json.h"
#include "io/graph_json.h"
#include "io/model_json.h"
#include "io/safetensors.h"
#include "kd/model.h"

namespace kd {

Json preprocess_to_json(const Preprocess& p) {
  return {{"resize", p.resize},
          {"crop", {p.crop_height, p.crop_width}},
          {"mean", p.mean},
          {"std", p.std},
          {"colour", p.colour}};
}

std::vector<std::string> class_names_from_json(const Json& json, const std::string& where) {
  KD_CHECK(json.is_array(), "{}: class_names must be a list", where);
  std::vector<std::string> names;
  for (const Json& name : json) {
    KD_CHECK(name.is_string(), "{}: class_names holds {}, expected strings", where, quoted(name));
    names.push_back(name.get<std::string>());
  }
  return names;
}

Preprocess preprocess_from_json(const Json& json, const std::string& where) {
  StrictObject object(json, where + ": preprocess");
  Preprocess p;
  p.resize = object.required<int>("resize");
  const auto crop = object.required<std::array<int, 2>>("crop");
  p.crop_height = crop[0];
  p.crop_width = crop[1];
  p.mean = object.required<std::array<double, 3>>("mean");
  p.std = object.required<std::array<double, 3>>("std");
  p.colour = object.required<std::string>("colour");
  object.finish();
  for (const double s : p.std) KD_CHECK(s > 0, "{}: std {} must be above 0", object.where(), s);
  KD_CHECK(p.colour == "RGB" || p.colour == "BGR" || p.colour == "GRAY", "{}: unknown colour '{}'",
           object.where(), p.colour);
  return p;
}

namespace {

constexpr std::string_view kFormat = "kdengine-model", kVersion = "1";

void check_tensors(const Model& model, const std::string& file) {
  size_t leaves = 0;
  for (const Role role : {Role::parameter, Role::state}) {
    for (const Value v : model.graph.leaves(role)) {
      const ValueInfo& value = model.graph.info(v);
      const auto at = model.tensors.find(value.name);
      KD_CHECK(at != model.tensors.end(), "{}: the tensor '{}' is missing", file, value.name);
      KD_CHECK(at->second.desc() == value.desc, "{}: tensor '{}' is {}, the graph wants {}", file,
               value.name, at->second.desc().str(), value.desc.str());
      ++leaves;
    }
  }
  for (const auto& [name, tensor] : model.tensors) {
    const Value v = model.graph.find(name);
    KD_CHECK(v && model.graph.info(v).role != Role::input,
             "{}: the tensor '{}' is not in the graph", file, name);
  }
  KD_CHECK(leaves == model.tensors.size(), "{}: {} tensors, expected {}", file,
           model.tensors.size(), leaves);
}

}  // namespace

Model load_model(const std::filesystem::path& path) {
  const std::string file = path.string();
  Safetensors stored = read_safetensors(path);
  const auto field = [&](const std::string& key) -> const std::string& {
    const auto at = stored.metadata.find(key);
    KD_CHECK(at != stored.metadata.end(), "{}: not a kdengine model: its metadata has no '{}'",
             file, key);
    return at->second;
  };
  KD_CHECK(field("format") == kFormat, "{}: the format is '{}', expected '{}'", file,
           field("format"), kFormat);
  KD_CHECK(field("format_version") == kVersion, "{}: unknown format version '{}', expected {}",
           file, field("format_version"), kVersion);
  Model model;
  model.name = field("name");
  graph_from_json(parse_json(field("graph"), file + ": graph"), file, model);
  model.preprocess = preprocess_from_json(parse_json(field("preprocess"), file), file);
  model.class_names =
      class_names_from_json(parse_json(field("class_names"), file + ": class_names"), file);
  KD_CHECK(model.class_names.empty() ||
               static_cast<int64_t>(model.class_names.size()) == model.classes(),
           "{}: {} class names for {} logits", file, model.class_names.size(), model.classes());
  const Shape& input = model.graph.shape(model.input);
  KD_CHECK(model.preprocess.crop_height == input[1] && model.preprocess.crop_width == input[2] &&
               model.preprocess.channels() == input[3],
           "{}: the preprocessing makes ({}, {}, {}), the graph wants {}", file,
           model.preprocess.crop_height, model.preprocess.crop_width, model.preprocess.channels(),
           input);
  model.tensors = std::move(stored.tensors);
  check_tensors(model, file);
  return model;
}

void save_model(const Model& model, const std::filesystem::path& path) {
  check_tensors(model, path.string());
  const Safetensors file{{{"format", std::string(kFormat)},
                          {"format_version", std::string(kVersion)},
                          {"name", model.name},
                          {"graph", graph_to_json(model).dump()},
                          {"preprocess", preprocess_to_json(model.preprocess).dump()},
                          {"class_names", Json(model.class_names).dump()}},
                         model.tensors};
  write_safetensors(file, path);
}

}  // namespace kd
