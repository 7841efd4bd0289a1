#include "io/onnx/export.h"

#include "core/file.h"
#include "core/json.h"
#include "io/model_json.h"
#include "io/onnx/export_graph.h"
#include "kd/error.h"

namespace kd {
namespace {

using namespace onnx_export;

void describe(onnx::ValueInfoProto& value, const std::string& name, int type, const Ints& rest,
              int64_t batch) {
  value.set_name(name);
  auto* tensor = value.mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  auto* first = tensor->mutable_shape()->add_dim();
  if (batch > 0) {
    first->set_dim_value(batch);
  } else {
    first->set_dim_param("batch");
  }
  for (const int64_t size : rest) tensor->mutable_shape()->add_dim()->set_dim_value(size);
}

// u8 (N, H, W, C), RGB or grey -> f32 (N, C, H, W), normalised, in the network's order.
std::string normalised(GraphWriter& w, const Preprocess& p) {
  std::string x = w.node("Cast", {"pixels"}, "preprocess.cast");
  w.attribute("to", int64_t{onnx::TensorProto::FLOAT});
  x = w.node("Transpose", {x}, "preprocess.nchw");
  w.attribute("perm", Ints{0, 3, 1, 2});
  if (p.colour == "BGR") {
    x = w.node("Gather", {x, w.integers({2, 1, 0}, "preprocess.order")}, "preprocess.bgr");
    w.attribute("axis", int64_t{1});
  }
  const int64_t channels = p.channels();
  std::vector<float> mean, std;
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    mean.push_back(static_cast<float>(255 * p.mean[c]));
    std.push_back(static_cast<float>(255 * p.std[c]));
  }
  const Ints dims{channels, 1, 1};
  x = w.node("Sub", {x, w.floats(dims, mean, "preprocess.mean", true)}, "preprocess.centre");
  return w.node("Div", {x, w.floats(dims, std, "preprocess.std", true)}, "preprocess.scale");
}

void write_input(GraphWriter& w, const Model& model, const ExportOptions& options) {
  const Shape& s = w.shape(model.input);
  auto* input = w.proto().add_input();
  std::string x = "input";
  if (options.with_preprocessing) {
    describe(*input, "pixels", onnx::TensorProto::UINT8, {s[1], s[2], s[3]}, options.batch);
    x = normalised(w, model.preprocess);
  } else {
    describe(*input, x, onnx::TensorProto::FLOAT, {s[3], s[1], s[2]}, options.batch);
  }
  if (options.fp16) {
    x = w.node("Cast", {x}, "input.f16");
    w.attribute("to", int64_t{onnx::TensorProto::FLOAT16});
  }
  w.define(model.input, x);
}

// The value under the name "logits", in f32.
void write_output(GraphWriter& w, const Model& model, const ExportOptions& options) {
  const std::string made = w.name(model.logits);
  onnx::NodeProto* last =
      w.proto().node_size() > 0 ? w.proto().mutable_node(w.proto().node_size() - 1) : nullptr;
  const bool last_makes_it = last != nullptr && last->output(0) == made;
  if (options.fp16) {
    w.node("Cast", {made}, "logits.f32");
    w.attribute("to", int64_t{onnx::TensorProto::FLOAT});
    last = w.proto().mutable_node(w.proto().node_size() - 1);
  } else if (!last_makes_it || w.uses(model.logits) > 1) {
    w.node("Identity", {made}, "logits.identity");
    last = w.proto().mutable_node(w.proto().node_size() - 1);
  }
  last->set_output(0, "logits");
  describe(*w.proto().add_output(), "logits", onnx::TensorProto::FLOAT, {model.classes()},
           options.batch);
}

void add_metadata(onnx::ModelProto& proto, const std::string& key, const std::string& value) {
  auto* entry = proto.add_metadata_props();
  entry->set_key(key);
  entry->set_value(value);
}

}  // namespace

std::string to_onnx(const Model& model, const ExportOptions& options) {
  KD_CHECK(options.opset >= 17 && options.opset <= 21, "opset {}, expected 17 to 21",
           options.opset);
  KD_CHECK(options.batch >= 0, "batch {}, expected 1 or more, or 0 for any", options.batch);
  GraphWriter writer(model, options);
  write_input(writer, model, options);
  for (const Node& node : model.graph.nodes()) {
    if (writer.is_defined(node.outputs[0])) continue;
    write_node(writer, node);
  }
  write_output(writer, model, options);
  onnx::ModelProto proto;
  proto.set_ir_version(options.opset >= 21 ? 10 : options.opset >= 19 ? 9 : 8);
  proto.set_producer_name("kdengine");
  proto.set_producer_version(KD_VERSION);
  auto* set = proto.add_opset_import();
  set->set_domain("");
  set->set_version(options.opset);
  writer.proto().set_name(model.name);
  *proto.mutable_graph() = std::move(writer.proto());
  add_metadata(proto, kOnnxPreprocess, preprocess_to_json(model.preprocess).dump());
  add_metadata(proto, kOnnxClassNames, Json(model.class_names).dump());
  add_metadata(proto, kOnnxPixelInput, options.with_preprocessing ? "true" : "false");
  KD_CHECK(proto.ByteSizeLong() <= INT32_MAX, "{}: {} bytes, an ONNX file holds at most {}",
           model.name, proto.ByteSizeLong(), INT32_MAX);
  return proto.SerializeAsString();
}

void export_onnx(const Model& model, const std::filesystem::path& path,
                 const ExportOptions& options) {
  write_file(path, to_onnx(model, options));
}

}  // namespace kd
