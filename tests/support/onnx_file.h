// ONNX files made for tests, and what comes of importing them.
#pragma once

#include <gtest/gtest.h>
#include <onnx.pb.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/file.h"
#include "distill/predictor.h"
#include "io/onnx/import.h"
#include "kd/error.h"
#include "support/support.h"

namespace kd::test {

namespace fs = std::filesystem;
using Dims = std::vector<int64_t>;

inline std::vector<float> numbers(int64_t count, double scale) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(scale * std::sin(1.7 * static_cast<double>(i) + scale)));
  }
  return values;
}

// An ONNX model of one picture input "x" (N, channels, height, width) and one output "y".
class OnnxFile {
 public:
  OnnxFile(int64_t channels, int64_t height, int64_t width) {
    model_.set_ir_version(8);
    opset(13);
    auto* input = model_.mutable_graph()->add_input();
    input->set_name("x");
    auto* type = input->mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    type->mutable_shape()->add_dim()->set_dim_param("N");
    for (const int64_t dim : {channels, height, width}) {
      type->mutable_shape()->add_dim()->set_dim_value(dim);
    }
    model_.mutable_graph()->add_output()->set_name("y");
  }
  void opset(int64_t version) {
    model_.clear_opset_import();
    model_.add_opset_import()->set_version(version);
  }
  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::string& output) {
    auto* node = model_.mutable_graph()->add_node();
    node->set_op_type(op);
    node->set_name(op + "_" + output);
    for (const std::string& input : inputs) node->add_input(input);
    node->add_output(output);
    return *node;
  }
  onnx::TensorProto& weight(const std::string& name, const Dims& dims,
                            const std::vector<float>& values) {
    auto* tensor = model_.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::FLOAT);
    for (const int64_t dim : dims) tensor->add_dims(dim);
    tensor->set_raw_data(values.data(), values.size() * sizeof(float));
    return *tensor;
  }
  std::string bytes() const { return model_.SerializeAsString(); }

 private:
  onnx::ModelProto model_;
};

inline void integers(onnx::NodeProto& node, const std::string& name, const Dims& values) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute->add_ints(value);
}
inline void integer(onnx::NodeProto& node, const std::string& name, int64_t value) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(value);
}
inline void text(onnx::NodeProto& node, const std::string& name, const std::string& value) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::STRING);
  attribute->set_s(value);
}

class OnnxTest : public testing::Test {
 protected:
  fs::path path() const { return folder_.path() / "model.onnx"; }
  Model import(const std::string& bytes) const {
    write_file(path(), bytes);
    ImportOptions options;
    return import_onnx(path(), options);
  }
  std::string message(const std::string& bytes) const {
    try {
      import(bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::input);
      return error.what();
    }
    return "no error";
  }
  std::string notices(const OnnxFile& file) const {
    write_file(path(), file.bytes());
    ImportOptions options;
    std::string text;
    options.notice = [&](const std::string& line) { text += line + "\n"; };
    import_onnx(path(), options);
    return text;
  }
  void says(const OnnxFile& file, const std::string& part) const {
    const std::string text = message(file.bytes());
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  // Logits for a picture given in ONNX's order, (C, H, W).
  static std::vector<float> logits(const Model& model, const std::vector<float>& chw) {
    const auto backend = make_backend(Device::cpu, {.threads = 1});
    Predictor predictor(model, *backend, 1);
    const Tensor images = predictor.images();
    const Shape& s = images.shape();
    const int64_t area = s[1] * s[2];
    for (int64_t c = 0; c < s[3]; ++c) {
      for (int64_t i = 0; i < area; ++i) {
        images.as<float>()[i * s[3] + c] = chw[static_cast<size_t>(c * area + i)];
      }
    }
    const auto stream = backend->stream(Priority::normal);
    predictor.run(*stream);
    return {predictor.logits().as<float>(),
            predictor.logits().as<float>() + predictor.logits().elements()};
  }
  test::TemporaryFolder folder_;
};

// Flatten of (C, H, W) then Gemm: the weight's columns follow ONNX's order, not ours.
inline OnnxFile flatten_and_gemm(bool reshape) {
  OnnxFile file(3, 2, 2);
  file.weight("w", {5, 12}, numbers(60, 0.5));
  file.weight("b", {5}, numbers(5, 1));
  if (reshape) {
    auto& shape = file.weight("shape", {2}, {});
    shape.set_data_type(onnx::TensorProto::INT64);
    const Dims dims{0, -1};
    shape.set_raw_data(dims.data(), 16);
    file.node("Reshape", {"x", "shape"}, "flat");
  } else {
    file.node("Flatten", {"x"}, "flat");
  }
  integer(file.node("Gemm", {"flat", "w", "b"}, "y"), "transB", 1);
  return file;
}

inline void shape_weight(OnnxFile& file, const std::string& name, const Dims& dims) {
  auto& tensor = file.weight(name, {static_cast<int64_t>(dims.size())}, {});
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.set_raw_data(dims.data(), dims.size() * 8);
}

}  // namespace kd::test
