#include "io/onnx/import.h"

#include <cmath>

#include "core/file.h"
#include "io/onnx/lowering.h"
#include "kd/error.h"
#include "kd/ops.h"

namespace kd {
namespace {

using namespace onnx_import;

constexpr int64_t kOldest = 9, kNewest = 21;

onnx::ModelProto parse(std::span<const std::byte> bytes) {
  onnx::ModelProto proto;
  KD_CHECK(bytes.size() <= INT32_MAX && !bytes.empty() &&
               proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
               proto.has_graph(),
           "not an ONNX model, or cut short");
  bool named = false;
  for (const auto& set : proto.opset_import()) {
    if (!set.domain().empty() && set.domain() != "ai.onnx") continue;
    KD_CHECK(set.version() >= kOldest && set.version() <= kNewest, "opset {}, expected {} to {}",
             set.version(), kOldest, kNewest);
    named = true;
  }
  KD_CHECK(named, "names no opset: not an ONNX model, or cut short");
  return proto;
}

// The one input that is no initialiser: (batch, C, H, W).
const onnx::ValueInfoProto& picture_input(const onnx::GraphProto& graph, const Lowering& lowering) {
  const onnx::ValueInfoProto* found = nullptr;
  for (const auto& input : graph.input()) {
    if (lowering.find(input.name())) continue;
    KD_CHECK(!found, "the graph has two inputs, '{}' and '{}', expected one", found->name(),
             input.name());
    found = &input;
  }
  KD_CHECK(found, "the graph has no input");
  return *found;
}

Shape input_shape(const onnx::ValueInfoProto& input) {
  const auto& dims = input.type().tensor_type().shape();
  KD_CHECK(dims.dim_size() == 4, "input '{}' has rank {}, expected (N, C, H, W)", input.name(),
           dims.dim_size());
  for (int axis = 1; axis < 4; ++axis) {
    KD_CHECK(dims.dim(axis).dim_value() > 0 && dims.dim(axis).dim_value() <= 16384,
             "input '{}': dimension {} is not fixed", input.name(), axis);
  }
  return {1, dims.dim(2).dim_value(), dims.dim(3).dim_value(), dims.dim(1).dim_value()};
}

// Nodes before a Softmax that ends the graph, if it is to be stripped.
int nodes_to_lower(const onnx::GraphProto& graph, bool strip_softmax) {
  const int count = graph.node_size();
  KD_CHECK(count > 0, "the graph has no nodes");
  const auto& last = graph.node(count - 1);
  if (last.op_type() != "Softmax" && last.op_type() != "LogSoftmax") return count;
  KD_CHECK(strip_softmax,
           "{}: the graph ends in probabilities, not logits; --strip-softmax removes it",
           label(last));
  return count - 1;
}

void check_finite(const Model& model) {
  for (const auto& [name, tensor] : model.tensors) {
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      KD_CHECK(std::isfinite(tensor.as<float>()[i]), "tensor '{}' holds NaN or infinity", name);
    }
  }
}

void finish(Model& model, const Lowering& lowering, const std::string& output) {
  const Entry* logits = lowering.find(output);
  KD_CHECK(logits && !logits->constant, "the output '{}' is not made by the graph", output);
  const Shape& shape = model.graph.shape(logits->value);
  const bool image = shape.rank() == 4 && shape[1] == 1 && shape[2] == 1;
  model.logits = image ? flatten(model.graph, logits->value, "flatten") : logits->value;
  KD_CHECK(model.graph.shape(model.logits).rank() == 2,
           "the output '{}' is {}, expected (N, classes)", output, shape);
}

}  // namespace

Model import_onnx(const std::filesystem::path& path, const ImportOptions& options) {
  try {
    Model model = import_onnx(read_file(path), path.parent_path(), options);
    model.name = path.stem().string();
    return model;
  } catch (const Error& error) {
    if (std::string(error.what()).starts_with(path.string())) throw;
    throw Error(error.code(), format("{}: {}", path.string(), error.what()));
  }
}

Model import_onnx(std::span<const std::byte> bytes, const std::filesystem::path& folder,
                  const ImportOptions& options) {
  const onnx::ModelProto proto = parse(bytes);
  const onnx::GraphProto& graph = proto.graph();
  Model model;
  Lowering lowering(model);
  for (const auto& tensor : graph.initializer()) {
    lowering.define(tensor.name(), {read_tensor(tensor, folder), {}, {}});
  }
  const onnx::ValueInfoProto& input = picture_input(graph, lowering);
  const Shape shape = input_shape(input);
  model.input = model.graph.input("input", {DType::f32, shape});
  lowering.define(input.name(), {{}, model.input, {}});
  const int count = nodes_to_lower(graph, options.strip_softmax);
  for (int i = 0; i < count; ++i) lower(lowering, graph.node(i));
  KD_CHECK(graph.output_size() == 1, "the graph has {} outputs, expected one", graph.output_size());
  const std::string output =
      count < graph.node_size() ? graph.node(count).input(0) : graph.output(0).name();
  finish(model, lowering, output);
  check_finite(model);
  model.preprocess = options.preprocess;
  model.preprocess.crop_height = static_cast<int>(shape[1]);
  model.preprocess.crop_width = static_cast<int>(shape[2]);
  KD_CHECK(model.preprocess.channels() == shape[3], "the input has {} channels, colour {} has {}",
           shape[3], model.preprocess.colour, model.preprocess.channels());
  model.class_names = options.class_names;
  KD_CHECK(model.class_names.empty() ||
               static_cast<int64_t>(model.class_names.size()) == model.classes(),
           "{} class names for {} logits", model.class_names.size(), model.classes());
  return model;
}

}  // namespace kd
