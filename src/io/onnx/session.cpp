#include "io/onnx/session.h"

#include <set>

#include "core/names.h"
#include "io/onnx/graph_walk.h"
#include "kd/error.h"

namespace kd::onnx_import {
namespace {

// The one input that is no initialiser.
const onnx::ValueInfoProto& picture_input(const onnx::GraphProto& graph) {
  std::set<std::string> initialisers;
  for (const auto& tensor : graph.initializer()) initialisers.insert(tensor.name());
  const onnx::ValueInfoProto* found = nullptr;
  for (const auto& input : graph.input()) {
    if (initialisers.contains(input.name())) continue;
    KD_CHECK(!found, "the graph has two inputs, '{}' and '{}', expected one", found->name(),
             input.name());
    found = &input;
  }
  KD_CHECK(found, "the graph has no input");
  return *found;
}

bool is_channels(int64_t size) { return size == 1 || size == 3; }

PictureInput describe_input(const onnx::ValueInfoProto& input, const ImportOptions& options) {
  const auto& type = input.type().tensor_type();
  KD_CHECK(type.shape().dim_size() == 4, "input '{}' has rank {}, expected (N, C, H, W)",
           input.name(), type.shape().dim_size());
  std::array<int64_t, 4> dims{};
  for (int axis = 0; axis < 4; ++axis) {
    dims[static_cast<size_t>(axis)] = type.shape().dim(axis).dim_value();
    KD_CHECK(type.shape().dim(axis).dim_value() >= 0, "input '{}': dimension {} is {}",
             input.name(), axis, type.shape().dim(axis).dim_value());
  }
  PictureInput result{input.name(),
                      !is_channels(dims[1]) && is_channels(dims[3]),
                      is_integer_type(type.elem_type()),
                      std::max<int64_t>(dims[0], 1),
                      {}};
  const int rows = result.channels_last ? 1 : 2, channels = result.channels_last ? 3 : 1;
  for (int side = 0; side < 2; ++side) {
    int64_t& size = dims[static_cast<size_t>(rows + side)];
    const int given = options.size[static_cast<size_t>(side)];
    if (size == 0) size = given;
    KD_CHECK(given == 0 || size == given, "input '{}': dimension {} is {}, not {} as asked for",
             input.name(), rows + side, size, given);
    KD_CHECK(size > 0 && size <= 16384,
             "input '{}': dimension {} is not fixed: the size of pictures must be given",
             input.name(), rows + side);
  }
  KD_CHECK(dims[static_cast<size_t>(channels)] > 0, "input '{}': dimension {} is not fixed",
           input.name(), channels);
  result.shape = {1, dims[static_cast<size_t>(rows)], dims[static_cast<size_t>(rows + 1)],
                  dims[static_cast<size_t>(channels)]};
  return result;
}

LoweringOptions lowering_options(const onnx::ModelProto& proto, const std::filesystem::path& folder,
                                 const PictureInput& input, const ImportOptions& options) {
  return {folder, opset_of(proto), true, input.batch, options.most_computed};
}

}  // namespace

int64_t opset_of(const onnx::ModelProto& proto) {
  for (const auto& set : proto.opset_import()) {
    if (set.domain().empty() || set.domain() == "ai.onnx") return set.version();
  }
  fail(ErrorCode::input, "names no opset: not an ONNX model, or cut short");
}

std::string chosen_output(const onnx::GraphProto& graph, const ImportOptions& options) {
  std::vector<std::string> names;
  for (const auto& output : graph.output()) names.push_back(output.name());
  if (!options.output.empty()) {
    for (const auto& node : graph.node()) {
      for (const std::string& made : node.output()) {
        if (made == options.output) return made;
      }
    }
    fail(ErrorCode::input, "no output '{}'{}", options.output, suggestion(options.output, names));
  }
  KD_CHECK(names.size() == 1, "the graph has {} outputs, expected one{}", names.size(),
           names.empty() ? "" : suggestion("", names) + ": one must be chosen");
  return names[0];
}

Session::Session(const onnx::ModelProto& proto, const std::filesystem::path& folder,
                 const ImportOptions& options)
    : input(describe_input(picture_input(proto.graph()), options)),
      lowering(model, lowering_options(proto, folder, input, options)) {
  define_initialisers(lowering, proto.graph());
  model.input = model.graph.input("input", {DType::f32, input.shape});
  Entry picture;
  picture.view =
      input.channels_last ? lowering.plain_view(model.input) : Lowering::image_view(model.input);
  lowering.define(input.name, std::move(picture));
}

}  // namespace kd::onnx_import
