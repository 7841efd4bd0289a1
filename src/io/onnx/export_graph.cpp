#include "io/onnx/export_graph.h"

#include <algorithm>

#include "io/channels_first.h"
#include "kd/error.h"

namespace kd::onnx_export {

int64_t onnx_axis(const Shape& shape, int64_t axis) {
  return shape.rank() == 4 ? kOnnxAxis[static_cast<size_t>(axis)] : axis;
}

void refuse(const Node& node, const std::string& why) {
  fail(ErrorCode::input, "layer '{}': {} can't be written as ONNX: {}", node.name, node.op->name,
       why);
}

GraphWriter::GraphWriter(const Model& model, const ExportOptions& options)
    : model_(model),
      options_(options),
      taken_{"input", "pixels", "logits"},
      uses_(static_cast<size_t>(model.graph.value_count())) {
  for (const Node& node : model.graph.nodes()) {
    for (const Value v : node.inputs) ++uses_[static_cast<size_t>(v.id)];
  }
  ++uses_[static_cast<size_t>(model.logits.id)];
}

std::vector<const Node*> GraphWriter::users(Value v) const {
  std::vector<const Node*> found;
  for (const Node& node : model_.graph.nodes()) {
    if (std::ranges::find(node.inputs, v) != node.inputs.end()) found.push_back(&node);
  }
  return found;
}

namespace {

std::string unique_in(std::set<std::string>& taken, const std::string& name) {
  std::string made = name;
  for (int i = 1; !taken.insert(made).second; ++i) made = format("{}_{}", name, i);
  return made;
}

}  // namespace

std::string GraphWriter::unique(const std::string& name) { return unique_in(taken_, name); }

const Tensor& GraphWriter::stored(const Node& node, size_t input) const {
  const auto at = model_.tensors.find(model_.graph.info(node.inputs[input]).name);
  if (at == model_.tensors.end()) refuse(node, "its weight is computed, not stored");
  return at->second;
}

std::string GraphWriter::name(Value v, int rank) {
  if (const auto at = names_.find(v.id); at != names_.end()) return at->second;
  return leaf(v, rank);
}

// Seen as four dimensions where it meets an image, then (N, H, W, C) -> (N, C, H, W).
std::string GraphWriter::leaf(Value v, int rank) {
  const Shape& own = shape(v);
  const bool image = std::max(rank, own.rank()) == 4 && own.rank() > 0;
  const auto key = std::pair(v.id, image ? 4 : 0);
  if (const auto at = leaves_.find(key); at != leaves_.end()) return at->second;
  const ValueInfo& info = model_.graph.info(v);
  const Tensor& tensor = model_.tensors.at(info.name);
  const float* data = tensor.as<float>();
  std::vector<float> values(data, data + tensor.elements());
  Ints dims(own.dims().begin(), own.dims().end());
  if (image) {
    Ints full(static_cast<size_t>(4 - own.rank()), 1);
    full.insert(full.end(), dims.begin(), dims.end());
    values = channels_first(values, {full[0], full[1], full[2], full[3]});
    dims = {full[3], full[1], full[2]};
    if (own.rank() == 4) dims.insert(dims.begin(), full[0]);
  }
  return leaves_[key] = floats(dims, values, info.name);
}

std::string GraphWriter::node(const std::string& op, const std::vector<std::string>& inputs,
                              const std::string& layer) {
  last_ = proto_.add_node();
  last_->set_op_type(op);
  const std::string own = unique_in(layers_, layer.empty() ? op : layer);
  last_->set_name(own);
  for (const std::string& input : inputs) last_->add_input(input);
  last_->add_output(unique(format("{}_output", own)));
  return last_->output(0);
}

void GraphWriter::attribute(const std::string& name, int64_t value) {
  auto* made = last_->add_attribute();
  made->set_name(name);
  made->set_type(onnx::AttributeProto::INT);
  made->set_i(value);
}
void GraphWriter::attribute(const std::string& name, double value) {
  auto* made = last_->add_attribute();
  made->set_name(name);
  made->set_type(onnx::AttributeProto::FLOAT);
  made->set_f(static_cast<float>(value));
}
void GraphWriter::attribute(const std::string& name, const std::string& value) {
  auto* made = last_->add_attribute();
  made->set_name(name);
  made->set_type(onnx::AttributeProto::STRING);
  made->set_s(value);
}
void GraphWriter::attribute(const std::string& name, const Ints& values) {
  auto* made = last_->add_attribute();
  made->set_name(name);
  made->set_type(onnx::AttributeProto::INTS);
  for (const int64_t value : values) made->add_ints(value);
}

onnx::TensorProto& GraphWriter::initializer(const std::string& name, const Ints& dims, int type) {
  auto* tensor = proto_.add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(type);
  for (const int64_t size : dims) tensor->add_dims(size);
  return *tensor;
}

std::string GraphWriter::integers(const Ints& values, const std::string& hint) {
  std::string name = unique(hint);
  initializer(name, {static_cast<int64_t>(values.size())}, onnx::TensorProto::INT64)
      .set_raw_data(values.data(), values.size() * sizeof(int64_t));
  return name;
}

std::string GraphWriter::number(double value, const std::string& hint) {
  return floats({}, {static_cast<float>(value)}, hint);
}

std::string GraphWriter::floats(const Ints& dims, const std::vector<float>& values,
                                const std::string& hint, bool keep_f32) {
  std::string name = unique(hint);
  if (!options_.fp16 || keep_f32) {
    initializer(name, dims, onnx::TensorProto::FLOAT)
        .set_raw_data(values.data(), values.size() * sizeof(float));
    return name;
  }
  std::vector<uint16_t> half;
  half.reserve(values.size());
  for (const float value : values) half.push_back(f32_to_f16(value));
  initializer(name, dims, onnx::TensorProto::FLOAT16)
      .set_raw_data(half.data(), half.size() * sizeof(uint16_t));
  return name;
}

}  // namespace kd::onnx_export
