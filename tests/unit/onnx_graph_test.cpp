// Whole graphs as exporters write them: softmaxes, reshapes, orders of axes, functions, conditions,
// quantised and computed weights, bombs.
#include "support/onnx_file.h"

namespace kd {
namespace {

using namespace test;

class OnnxGraphTest : public OnnxTest {};

TEST_F(OnnxGraphTest, WeightsThatAreNoNumbersAreNoticed) {
  OnnxFile file(3, 2, 2);
  std::vector<float> bad = numbers(60, 0.5);
  bad[7] = std::nanf("");
  file.weight("w", {5, 12}, bad);
  file.node("Flatten", {"x"}, "flat");
  integer(file.node("Gemm", {"flat", "w"}, "y"), "transB", 1);
  EXPECT_EQ(notices(file), "tensor 'w' holds NaN or infinity\n");
}

TEST_F(OnnxGraphTest, ASoftmaxAtTheEndIsLeftOutAndSaidSo) {
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

// Six channels (the picture twice, once negative) seen as (2, 3) and transposed; then rows and
// columns exchanged, and all of it flattened.
TEST_F(OnnxGraphTest, ReshapesAndTransposesMoveWhatOnnxMoves) {
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

TEST_F(OnnxGraphTest, TensorFlowsOrderNeedsNoTransposition) {
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

TEST_F(OnnxGraphTest, FunctionsAndKnownConditionsAreTakenInPlace) {
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

TEST_F(OnnxGraphTest, QuantisedWeightsBecomeTheNumbersTheyStandFor) {
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
TEST_F(OnnxGraphTest, BombsAreNamed) {
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

}  // namespace
}  // namespace kd
