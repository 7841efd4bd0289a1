#include "io/onnx/import.h"

#include <fcntl.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <unistd.h>

#include "core/json.h"
#include "io/finite.h"
#include "io/model_json.h"
#include "io/onnx/export.h"
#include "io/onnx/graph_walk.h"
#include "io/onnx/operators.h"
#include "io/onnx/session.h"
#include "kd/error.h"

namespace kd {
namespace {

using namespace onnx_import;

constexpr int64_t kOldest = 7, kNewest = 23;

void check_model(const onnx::ModelProto& proto, bool parsed) {
  KD_CHECK(parsed && proto.has_graph(), "not an ONNX model, or cut short");
  const int64_t opset = opset_of(proto);
  KD_CHECK(opset >= kOldest && opset <= kNewest, "opset {}, expected {} to {}", opset, kOldest,
           kNewest);
}

void set_logits(Model& model, Lowering& l, const std::string& output, const std::string& maker) {
  const Entry* made = l.find(output);
  KD_CHECK(made && !made->is_constant() && !made->quantised,
           "the output '{}' is not made by the graph", output);
  KD_CHECK(
      maker != "Sigmoid",
      "the graph ends in Sigmoid, '{}': it tells for each class yes or no, and is no classifier "
      "of one class in many",
      output);
  View view = made->view;
  if (made->before_softmax) {
    view = *made->before_softmax;
    l.note("the graph ends in a softmax, which is left out: the logits are what it was given");
  }
  const std::vector<int64_t> dims = l.dims(view);
  int64_t classes = 1, wide = 0;
  for (size_t i = 1; i < dims.size(); ++i) {
    classes *= dims[i];
    wide += dims[i] != 1 ? 1 : 0;
  }
  std::string shape = "(";
  for (size_t i = 0; i < dims.size(); ++i) shape += (i ? ", " : "") + std::to_string(dims[i]);
  KD_CHECK(dims.size() >= 2 && wide <= 1 && view.axes[0] == std::vector<int>{0},
           "the output '{}' is {}), expected (N, classes)", output, shape);
  onnx::NodeProto last;
  last.set_op_type("output");
  last.set_name(output);
  const View flat = l.reshaped(last, view, {dims[0], classes});
  model.logits = l.arrange(last, flat, {0, 1});
}

std::string maker_of(const onnx::GraphProto& graph, const std::string& output) {
  for (const auto& node : graph.node()) {
    if (node.output_size() > 0 && node.output(0) == output) return node.op_type();
  }
  return {};
}

const std::string* metadata(const onnx::ModelProto& proto, std::string_view key) {
  for (const auto& entry : proto.metadata_props()) {
    if (entry.key() == key) return &entry.value();
  }
  return nullptr;
}

void set_preprocess(Model& model, const ImportOptions& options, const PictureInput& input,
                    const onnx::ModelProto& proto) {
  Preprocess& p = model.preprocess;
  if (const std::string* stored = metadata(proto, kOnnxPreprocess)) {
    p = preprocess_from_json(parse_json(*stored, kOnnxPreprocess), kOnnxPreprocess);
    if (options.notice) options.notice("the preprocessing is what the file says");
  }
  if (input.bytes) {  // normalising is part of the graph
    p = {.resize = p.resize};
    p.std = {1 / 255.0, 1 / 255.0, 1 / 255.0};
    if (options.notice) options.notice("the input takes bytes: pixels are given as 0..255");
  }
  if (input.shape[3] == 1) p.colour = "GRAY";
  p.mean = options.mean.value_or(p.mean);
  p.std = options.std.value_or(p.std);
  p.colour = options.colour.value_or(p.colour);
  p.resize = options.resize.value_or(p.resize);
  p.crop_height = static_cast<int>(input.shape[1]);
  p.crop_width = static_cast<int>(input.shape[2]);
  KD_CHECK(p.channels() == input.shape[3], "the input has {} channels, colour {} has {}",
           input.shape[3], p.colour, p.channels());
}

Model import_model(const onnx::ModelProto& proto, const std::filesystem::path& folder,
                   const ImportOptions& options) {
  KD_CHECK(proto.graph().node_size() > 0, "the graph has no nodes");
  const std::string output = chosen_output(proto.graph(), options);
  Session session(proto, folder, options);
  Lowering& l = session.lowering;
  GraphWalk(proto, l, [&](const onnx::NodeProto& node) { lower(l, node); }).walk(output);
  finish_import(session, proto, output, options);
  return std::move(session.model);
}

}  // namespace

void onnx_import::finish_import(Session& session, const onnx::ModelProto& proto,
                                const std::string& output, const ImportOptions& options) {
  Model& model = session.model;
  set_logits(model, session.lowering, output, maker_of(proto.graph(), output));
  if (options.notice) {
    for (const std::string& note : session.lowering.notes()) options.notice(note);
    for (const std::string& name : tensors_not_finite(model)) {
      options.notice("tensor '" + name + "' holds NaN or infinity");
    }
  }
  set_preprocess(model, options, session.input, proto);
  model.class_names = options.class_names;
  const std::string* names = metadata(proto, kOnnxClassNames);
  if (model.class_names.empty() && names != nullptr) {
    model.class_names = class_names_from_json(parse_json(*names, kOnnxClassNames), kOnnxClassNames);
  }
  KD_CHECK(model.class_names.empty() ||
               static_cast<int64_t>(model.class_names.size()) == model.classes(),
           "{} class names for {} logits", model.class_names.size(), model.classes());
}

onnx::ModelProto parse_onnx(std::span<const std::byte> bytes) {
  onnx::ModelProto proto;
  const bool parsed = bytes.size() <= INT32_MAX && !bytes.empty() &&
                      proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  check_model(proto, parsed);
  return proto;
}

onnx::ModelProto read_onnx(const std::filesystem::path& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  KD_CHECK(file >= 0, "can't be opened");
  onnx::ModelProto proto;
  // Through a stream, so that the file's bytes are in memory once.
  google::protobuf::io::FileInputStream stream(file);
  stream.SetCloseOnDelete(true);
  check_model(proto, proto.ParseFromZeroCopyStream(&stream));
  return proto;
}

Model import_onnx(const std::filesystem::path& path, const ImportOptions& options) {
  try {
    Model model = import_model(read_onnx(path), path.parent_path(), options);
    model.name = path.stem().string();
    return model;
  } catch (const Error& error) {
    throw Error(error.code(), format("{}: {}", path.string(), error.what()), error.where());
  }
}

Model import_onnx(std::span<const std::byte> bytes, const std::filesystem::path& folder,
                  const ImportOptions& options) {
  return import_model(parse_onnx(bytes), folder, options);
}

}  // namespace kd
