// The importer on graphs written here: the numbers PyTorch's order would give, old and new forms of
// the same thing, and refusals that name node, op and attribute.
#include <gtest/gtest.h>
#include <onnx.pb.h>

#include <cmath>
#include <fstream>

#include "core/file.h"
#include "distill/predictor.h"
#include "io/onnx/import.h"
#include "kd/dtype.h"
#include "kd/error.h"
#include "support/support.h"

namespace kd {
namespace {

namespace fs = std::filesystem;
using Dims = std::vector<int64_t>;

std::vector<float> numbers(int64_t count, double scale) {
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

void integers(onnx::NodeProto& node, const std::string& name, const Dims& values) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute->add_ints(value);
}
void integer(onnx::NodeProto& node, const std::string& name, int64_t value) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(value);
}
void text(onnx::NodeProto& node, const std::string& name, const std::string& value) {
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
OnnxFile flatten_and_gemm(bool reshape) {
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

TEST_F(OnnxTest, FlattenKeepsTheOrderOfTheExporter) {
  const std::vector<float> x = numbers(12, 0.9), w = numbers(60, 0.5), b = numbers(5, 1);
  for (const bool reshape : {false, true}) {
    const std::vector<float> got = logits(import(flatten_and_gemm(reshape).bytes()), x);
    for (size_t k = 0; k < 5; ++k) {
      double want = b[k];
      for (size_t i = 0; i < 12; ++i) want += double{w[k * 12 + i]} * x[i];
      EXPECT_NEAR(got[k], want, 1e-5) << k;
    }
  }
}

// A grouped, strided convolution with uneven padding, and a global mean.
OnnxFile convolution() {
  OnnxFile file(3, 5, 6);
  file.weight("w", {6, 1, 3, 3}, numbers(54, 0.4));
  file.weight("b", {6}, numbers(6, 0.7));
  auto& conv = file.node("Conv", {"x", "w", "b"}, "c");
  integer(conv, "group", 3);
  integers(conv, "strides", {2, 1});
  integers(conv, "pads", {0, 1, 1, 0});
  file.node("Relu", {"c"}, "r");
  file.node("GlobalAveragePool", {"r"}, "g");
  file.node("Flatten", {"g"}, "y");
  return file;
}

TEST_F(OnnxTest, ConvolutionIsComputedInOnnxsOrder) {
  const std::vector<float> x = numbers(90, 0.8), w = numbers(54, 0.4), b = numbers(6, 0.7);
  const std::vector<float> got = logits(import(convolution().bytes()), x);
  for (int k = 0; k < 6; ++k) {
    double sum = 0;
    for (int oy = 0; oy < 2; ++oy) {
      for (int ox = 0; ox < 5; ++ox) {
        double y = b[static_cast<size_t>(k)];
        for (int r = 0; r < 3; ++r) {
          for (int c = 0; c < 3; ++c) {
            const int iy = oy * 2 + r, ix = ox - 1 + c;  // top 0, left 1
            if (iy >= 5 || ix < 0 || ix >= 6) continue;
            y += double{w[static_cast<size_t>((k * 3 + r) * 3 + c)]} *
                 x[static_cast<size_t>((k / 2 * 5 + iy) * 6 + ix)];
          }
        }
        sum += std::max(y, 0.0);
      }
    }
    EXPECT_NEAR(got[static_cast<size_t>(k)], sum / 10, 1e-5) << k;
  }
}

TEST_F(OnnxTest, HalfWeightsAndExternalFilesAreTheSameNumbers) {
  std::vector<float> w = numbers(60, 0.5);
  for (float& value : w) value = f16_to_f32(f32_to_f16(value));
  const std::vector<float> x = numbers(12, 0.9);
  const auto with = [&](const std::function<void(onnx::TensorProto&)>& change) {
    OnnxFile file(3, 2, 2);
    change(file.weight("w", {5, 12}, w));
    file.node("Flatten", {"x"}, "flat");
    integer(file.node("Gemm", {"flat", "w"}, "y"), "transB", 1);
    return logits(import(file.bytes()), x);
  };
  const std::vector<float> plain = with([](onnx::TensorProto&) {});
  EXPECT_EQ(with([&](onnx::TensorProto& tensor) {
              tensor.set_data_type(onnx::TensorProto::FLOAT16);
              std::vector<uint16_t> half;
              for (const float value : w) half.push_back(f32_to_f16(value));
              tensor.set_raw_data(half.data(), half.size() * 2);
            }),
            plain);
  EXPECT_EQ(with([&](onnx::TensorProto& tensor) {
              tensor.clear_raw_data();
              for (const float value : w) tensor.add_float_data(value);
            }),
            plain);
  EXPECT_EQ(with([&](onnx::TensorProto& tensor) {
              std::string bytes(8, 'x');  // an offset into the file
              bytes.append(reinterpret_cast<const char*>(w.data()), w.size() * sizeof(float));
              write_file(folder_.path() / "weights.data", bytes);
              tensor.clear_raw_data();
              tensor.set_data_location(onnx::TensorProto::EXTERNAL);
              for (const auto& [key, value] : std::map<std::string, std::string>{
                       {"location", "weights.data"}, {"offset", "8"}, {"length", "240"}}) {
                auto* entry = tensor.add_external_data();
                entry->set_key(key);
                entry->set_value(value);
              }
            }),
            plain);
}

TEST_F(OnnxTest, ExternalDataStaysInTheModelsFolder) {
  for (const std::string location :
       {"../secret.data", "/etc/passwd", "link.data", "missing.data", "sub/../../secret.data"}) {
    write_file(folder_.path().parent_path() / "secret.data", std::string(240, 'x'));
    std::error_code ignored;
    fs::create_symlink("/etc/passwd", folder_.path() / "link.data", ignored);
    OnnxFile file(3, 2, 2);
    auto& tensor = file.weight("w", {5, 12}, {});
    tensor.clear_raw_data();
    tensor.set_data_location(onnx::TensorProto::EXTERNAL);
    auto* entry = tensor.add_external_data();
    entry->set_key("location");
    entry->set_value(location);
    file.node("Flatten", {"x"}, "flat");
    integer(file.node("Gemm", {"flat", "w"}, "y"), "transB", 1);
    const std::string text = message(file.bytes());
    EXPECT_NE(text.find(location), std::string::npos) << text;
  }
  fs::remove(folder_.path().parent_path() / "secret.data");
}

TEST_F(OnnxTest, RefusalsNameNodeOpAndAttribute) {
  OnnxFile unknown(3, 4, 4);
  unknown.node("Einsum", {"x"}, "y");
  says(unknown, "Einsum 'Einsum_y'");
  OnnxFile attribute(3, 5, 6);
  attribute.weight("w", {4, 3, 1, 1}, numbers(12, 1));
  integer(attribute.node("Conv", {"x", "w"}, "y"), "surprise", 1);
  says(attribute, "surprise");
  says(attribute, "Conv 'Conv_y'");
  OnnxFile pads(3, 4, 4);
  pads.weight("w", {4, 3, 1, 1}, numbers(12, 1));
  text(pads.node("Conv", {"x", "w"}, "y"), "auto_pad", "DIAGONAL");
  says(pads, "auto_pad DIAGONAL");
  OnnxFile missing(3, 4, 4);
  missing.node("Relu", {"nothing"}, "y");
  says(missing, "nothing");
  OnnxFile typo(3, 4, 4);
  typo.node("Rellu", {"x"}, "y");
  says(typo, "did you mean 'Relu'?");
  OnnxFile channels(3, 4, 4);
  channels.weight("w", {4, 5, 1, 1}, numbers(20, 1));
  channels.node("Conv", {"x", "w"}, "y");
  EXPECT_NE(message(channels.bytes()), "no error");
}

TEST_F(OnnxTest, OpsetsBeyondThoseKnownAreRefused) {
  for (const int64_t version : {7, 13, 23}) {
    OnnxFile file = flatten_and_gemm(false);
    file.opset(version);
    EXPECT_EQ(message(file.bytes()), "no error") << version;
  }
  for (const int64_t version : {6, 24}) {
    OnnxFile file = flatten_and_gemm(false);
    file.opset(version);
    says(file, "opset " + std::to_string(version) + ", expected 7 to 23");
  }
}

TEST_F(OnnxTest, TensorsThatLieAreNamed) {
  const auto with = [&](const std::function<void(onnx::TensorProto&)>& change) {
    OnnxFile file(3, 2, 2);
    change(file.weight("w", {5, 12}, numbers(60, 0.5)));
    file.node("Flatten", {"x"}, "flat");
    integer(file.node("Gemm", {"flat", "w"}, "y"), "transB", 1);
    const std::string text = message(file.bytes());
    EXPECT_NE(text.find("'w'"), std::string::npos) << text;
  };
  with([](onnx::TensorProto& t) { t.set_raw_data("short"); });
  with([](onnx::TensorProto& t) { t.set_dims(0, -5); });
  with([](onnx::TensorProto& t) { t.set_dims(0, int64_t{1} << 62); });
  with([](onnx::TensorProto& t) { t.set_data_type(onnx::TensorProto::STRING); });
}

TEST_F(OnnxTest, WeightsThatAreNoNumbersAreNoticed) {
  OnnxFile file(3, 2, 2);
  std::vector<float> bad = numbers(60, 0.5);
  bad[7] = std::nanf("");
  file.weight("w", {5, 12}, bad);
  file.node("Flatten", {"x"}, "flat");
  integer(file.node("Gemm", {"flat", "w"}, "y"), "transB", 1);
  EXPECT_EQ(notices(file), "tensor 'w' holds NaN or infinity\n");
}

// What follows a picture's NHWC transposes, splits and shuffles must be what ONNX says it is.
TEST_F(OnnxTest, ASoftmaxAtTheEndIsLeftOutAndSaidSo) {
  const std::vector<float> x = numbers(12, 0.9);
  const std::vector<float> want = logits(import(flatten_and_gemm(false).bytes()), x);
  OnnxFile file(3, 2, 2);
  file.weight("w", {5, 12}, numbers(60, 0.5));
  file.weight("b", {5}, numbers(5, 1));
  file.node("Flatten", {"x"}, "flat");
  integer(file.node("Gemm", {"flat", "w", "b"}, "z"), "transB", 1);
  file.node("Softmax", {"z"}, "p");
  file.node("Identity", {"p"}, "y");
  EXPECT_EQ(logits(import(file.bytes()), x), want);
  EXPECT_NE(notices(file).find("softmax"), std::string::npos);
  OnnxFile sigmoid(3, 1, 1);
  sigmoid.node("Flatten", {"x"}, "z");
  sigmoid.node("Sigmoid", {"z"}, "y");
  says(sigmoid, "Sigmoid");
}

void shape_weight(OnnxFile& file, const std::string& name, const Dims& dims) {
  auto& tensor = file.weight(name, {static_cast<int64_t>(dims.size())}, {});
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.set_raw_data(dims.data(), dims.size() * 8);
}

// Six channels (the picture twice, once negative) seen as (2, 3) and transposed; then rows and
// columns exchanged, and all of it flattened.
TEST_F(OnnxTest, ReshapesAndTransposesMoveWhatOnnxMoves) {
  OnnxFile file(3, 2, 4);
  file.node("Neg", {"x"}, "n");
  integer(file.node("Concat", {"x", "n"}, "c"), "axis", 1);
  shape_weight(file, "split", {0, 2, 3, 2, 4});
  shape_weight(file, "merge", {0, 6, 2, 4});
  file.node("Reshape", {"c", "split"}, "s");
  integers(file.node("Transpose", {"s"}, "t"), "perm", {0, 2, 1, 3, 4});
  file.node("Reshape", {"t", "merge"}, "m");
  integers(file.node("Transpose", {"m"}, "u"), "perm", {0, 1, 3, 2});
  file.node("Flatten", {"u"}, "y");
  const std::vector<float> x = numbers(24, 0.9), got = logits(import(file.bytes()), x);
  for (size_t c = 0; c < 6; ++c) {
    for (size_t i = 0; i < 8; ++i) {
      const float want = x[c / 2 * 8 + (i % 2) * 4 + i / 2];
      EXPECT_EQ(got[c * 8 + i], c % 2 ? -want : want) << c << " " << i;
    }
  }
}

TEST_F(OnnxTest, TensorFlowsOrderNeedsNoTransposition) {
  OnnxFile file(4, 5, 3);  // (N, H, W, C), as the last is 3
  file.weight("w", {2, 3, 1, 1}, numbers(6, 0.4));
  integers(file.node("Transpose", {"x"}, "chw"), "perm", {0, 3, 1, 2});
  file.node("Conv", {"chw", "w"}, "c");
  integers(file.node("Transpose", {"c"}, "hwc"), "perm", {0, 2, 3, 1});
  auto& mean = file.node("ReduceMean", {"hwc"}, "y");
  integers(mean, "axes", {1, 2});
  integer(mean, "keepdims", 0);
  const Model model = import(file.bytes());
  EXPECT_EQ(model.graph.shape(model.input), (Shape{1, 4, 5, 3}));
  for (const Node& node : model.graph.nodes()) EXPECT_NE(node.op->name, "transpose");
  const std::vector<float> x = numbers(60, 0.8), w = numbers(6, 0.4), got = logits(model, x);
  for (size_t k = 0; k < 2; ++k) {
    double want = 0;
    for (size_t i = 0; i < 60; ++i) want += double{w[k * 3 + i / 20]} * x[i] / 20;
    EXPECT_NEAR(got[k], want, 1e-6);
  }
}

TEST_F(OnnxTest, FunctionsAndKnownConditionsAreTakenInPlace) {
  onnx::ModelProto proto;
  proto.ParseFromString(flatten_and_gemm(false).bytes());
  auto* function = proto.add_functions();
  function->set_name("Twice");
  function->set_domain("mine");
  function->add_input("a");
  function->add_output("b");
  auto* inner = function->add_node();
  inner->set_op_type("Add");
  inner->add_input("a");
  inner->add_input("a");
  inner->add_output("b");
  auto* call = proto.mutable_graph()->add_node();
  call->set_op_type("Twice");
  call->set_domain("mine");
  call->add_input("y");
  call->add_output("twice");
  auto* condition = proto.mutable_graph()->add_node();
  condition->set_op_type("If");
  condition->add_input("yes");
  condition->add_output("out");
  for (const auto& [name, op] : {std::pair{"then_branch", "Relu"}, {"else_branch", "Einsum"}}) {
    auto* branch = condition->add_attribute();
    branch->set_name(name);
    branch->set_type(onnx::AttributeProto::GRAPH);
    auto* node = branch->mutable_g()->add_node();
    node->set_op_type(op);
    node->add_input("twice");
    node->add_output(std::string(op) + "_out");
    branch->mutable_g()->add_output()->set_name(std::string(op) + "_out");
  }
  auto* yes = proto.mutable_graph()->add_initializer();
  yes->set_name("yes");
  yes->set_data_type(onnx::TensorProto::BOOL);
  yes->add_int32_data(1);
  proto.mutable_graph()->mutable_output(0)->set_name("out");
  const std::vector<float> x = numbers(12, 0.9);
  std::vector<float> want = logits(import(flatten_and_gemm(false).bytes()), x);
  for (float& value : want) value = std::max(2 * value, 0.0F);
  EXPECT_EQ(logits(import(proto.SerializeAsString()), x), want);
}

TEST_F(OnnxTest, QuantisedWeightsBecomeTheNumbersTheyStandFor) {
  OnnxFile file(3, 2, 2);
  auto& q = file.weight("q", {2, 12}, {});
  q.set_data_type(onnx::TensorProto::INT8);
  std::vector<int8_t> bytes(24);
  for (size_t i = 0; i < 24; ++i) bytes[i] = static_cast<int8_t>(9 * i - 100);
  q.set_raw_data(bytes.data(), 24);
  file.weight("scale", {2}, {0.5F, 0.25F});
  auto& zero = file.weight("zero", {2}, {});
  zero.set_data_type(onnx::TensorProto::INT8);
  zero.set_raw_data(std::string("\x03\xfe", 2));  // 3, -2
  integer(file.node("DequantizeLinear", {"q", "scale", "zero"}, "w"), "axis", 0);
  file.node("Flatten", {"x"}, "flat");
  integer(file.node("Gemm", {"flat", "w"}, "y"), "transB", 1);
  const std::vector<float> x = numbers(12, 0.9), got = logits(import(file.bytes()), x);
  for (size_t k = 0; k < 2; ++k) {
    double want = 0;
    for (size_t i = 0; i < 12; ++i) {
      want += (bytes[k * 12 + i] - (k == 0 ? 3 : -2)) * (k == 0 ? 0.5 : 0.25) * x[i];
    }
    EXPECT_NEAR(got[k], want, 1e-3);
  }
}

// A kilobyte that asks for a gigabyte, and other bombs.
TEST_F(OnnxTest, BombsAreNamed) {
  OnnxFile file(3, 2, 2);
  shape_weight(file, "dims", {100000, 12});
  file.node("ConstantOfShape", {"dims"}, "w");
  file.node("Flatten", {"x"}, "flat");
  integer(file.node("Gemm", {"flat", "w"}, "y"), "transB", 1);
  write_file(path(), file.bytes());
  ImportOptions options;
  options.most_computed = 1000;
  try {
    import_onnx(path(), options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1200000 elements"), std::string::npos);
  }
  OnnxFile twice(3, 2, 2);
  twice.node("Relu", {"x"}, "y");
  twice.node("Relu", {"y"}, "y");
  says(twice, "'y'");
  OnnxFile circle(3, 2, 2);
  circle.node("Add", {"x", "z"}, "y");
  circle.node("Relu", {"y"}, "z");
  says(circle, "not made before it is used");
  OnnxFile empty(3, 2, 2);
  shape_weight(empty, "none", {0, -1, 0, 7});
  empty.node("Reshape", {"x", "none"}, "y");
  EXPECT_NE(message(empty.bytes()), "no error");
}

TEST_F(OnnxTest, TruncatedAnywhereIsAnError) {
  const std::string whole = convolution().bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(message(whole.substr(0, size)), "no error") << size;
  }
}

}  // namespace
}  // namespace kd
