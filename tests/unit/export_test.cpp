// What kdexport writes, read back: by protobuf, by the importer, by the safetensors reader.
#include "io/onnx/export.h"

#include <gtest/gtest.h>
#include <onnx.pb.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <map>

#include "core/file.h"
#include "distill/predictor.h"
#include "io/onnx/import.h"
#include "io/safetensors.h"
#include "io/torch_names.h"
#include "kd/error.h"
#include "kd/mix_ops.h"
#include "kd/passes.h"
#include "kd/term_ops.h"
#include "support/support.h"

namespace kd {
namespace {

Model built(const std::string& name) {
  Model model = build_model(std::string(KD_SOURCE_DIR) + "/models/" + name + ".json", 10, 7);
  for (auto& [leaf, tensor] : model.tensors) {  // statistics that are not 0 and 1
    if (tensor.shape().rank() != 1) continue;
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      tensor.as<float>()[i] += 0.1f + 0.01f * static_cast<float>(i % 7);
    }
  }
  return model;
}

onnx::ModelProto parsed(const std::string& bytes) {
  onnx::ModelProto proto;
  EXPECT_TRUE(proto.ParseFromString(bytes));
  return proto;
}

const onnx::TensorProto* initializer(const onnx::ModelProto& proto, const std::string& name) {
  for (const auto& tensor : proto.graph().initializer()) {
    if (tensor.name() == name) return &tensor;
  }
  return nullptr;
}

int count_of(const onnx::ModelProto& proto, const std::string& op) {
  int count = 0;
  for (const auto& node : proto.graph().node()) count += node.op_type() == op ? 1 : 0;
  return count;
}

std::vector<float> logits(const Model& model) {
  const auto backend = make_backend(Device::cpu, {.threads = 1});
  Predictor predictor(model, *backend, 2);
  const Tensor x = predictor.images();
  for (int64_t i = 0; i < x.elements(); ++i) {
    x.as<float>()[i] = std::sin(0.37f * static_cast<float>(i));
  }
  predictor.run(*backend->stream(Priority::normal));
  const Tensor y = predictor.logits();
  return {y.as<float>(), y.as<float>() + y.elements()};
}

class ExportTest : public testing::Test {
 protected:
  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }
  Model round_trip(const Model& model) const {
    export_onnx(model, path("model.onnx"), {});
    return import_onnx(path("model.onnx"), {});
  }
  test::TemporaryFolder folder_;
};

void expect_same_weights(const Model& a, const Model& b) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    const auto at = b.tensors.find(name);
    ASSERT_NE(at, b.tensors.end()) << name;
    ASSERT_EQ(at->second.desc(), tensor.desc()) << name;
    EXPECT_EQ(std::memcmp(tensor.data(), at->second.data(), tensor.bytes()), 0) << name;
  }
}

TEST_F(ExportTest, WhatIsReadBackHasTheSameWeightsBitForBit) {
  for (const char* name : {"cifar_resnet20", "cifar_resnet20_b", "fmnist_student"}) {
    const Model model = built(name);
    expect_same_weights(model, round_trip(model));
  }
}

TEST_F(ExportTest, WhatIsReadBackGivesTheSameLogits) {
  for (const bool fold : {false, true}) {
    const Model model = built("cifar_resnet20");
    const std::vector<float> want = logits(model),
                             got = logits(round_trip(fold ? fold_bn(model) : model));
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], 1e-4 * (1 + std::abs(want[i])));
    }
  }
}

TEST_F(ExportTest, TheFileIsWhatTheWorldExpects) {
  Model model = built("cifar_resnet20");
  model.class_names = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "\"j\""};
  const onnx::ModelProto proto = parsed(to_onnx(model, {}));
  EXPECT_EQ(proto.producer_name(), "kdengine");
  EXPECT_EQ(proto.opset_import(0).version(), 17);
  EXPECT_EQ(proto.graph().name(), "cifar_resnet20");
  const auto& in = proto.graph().input(0);
  EXPECT_EQ(in.name(), "input");
  const auto& dims = in.type().tensor_type().shape();
  EXPECT_EQ(dims.dim(0).dim_param(), "batch");
  EXPECT_EQ(dims.dim(1).dim_value(), 3);
  EXPECT_EQ(dims.dim(3).dim_value(), 32);
  EXPECT_EQ(proto.graph().output(0).name(), "logits");
  EXPECT_EQ(count_of(proto, "BatchNormalization"), 19);
  std::map<std::string, std::string> properties;
  for (const auto& entry : proto.metadata_props()) properties[entry.key()] = entry.value();
  EXPECT_NE(properties[kOnnxPreprocess].find("0.485"), std::string::npos);
  EXPECT_NE(properties[kOnnxClassNames].find("\\\"j\\\""), std::string::npos);
  EXPECT_EQ(properties[kOnnxPixelInput], "false");
  const onnx::TensorProto* weight = initializer(proto, "conv1.weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(std::vector<int64_t>(weight->dims().begin(), weight->dims().end()),
            (std::vector<int64_t>{16, 3, 3, 3}));
  float second = 0;  // (0, 0, 0, 1) there is (0, 0, 1, 0) here
  std::memcpy(&second, weight->raw_data().data() + sizeof(float), sizeof(float));
  EXPECT_EQ(second, model.tensors.at("conv1.weight").as<float>()[3]);
}

TEST_F(ExportTest, BatchNormsFoldAndTheBatchCanBeFixed) {
  ExportOptions options;
  options.batch = 8;
  const onnx::ModelProto proto = parsed(to_onnx(fold_bn(built("cifar_resnet20")), options));
  EXPECT_EQ(count_of(proto, "BatchNormalization"), 0);
  EXPECT_EQ(count_of(proto, "Add"), 9) << "only the shortcuts: biases are in the convolutions";
  EXPECT_NE(initializer(proto, "layer1.0.conv1.bias"), nullptr);
  EXPECT_EQ(proto.graph().input(0).type().tensor_type().shape().dim(0).dim_value(), 8);
}

TEST_F(ExportTest, HalvesStayInsideTheGraph) {
  ExportOptions options;
  options.fp16 = true;
  const onnx::ModelProto proto = parsed(to_onnx(built("cifar_resnet20"), options));
  EXPECT_EQ(proto.graph().input(0).type().tensor_type().elem_type(), onnx::TensorProto::FLOAT);
  EXPECT_EQ(proto.graph().output(0).type().tensor_type().elem_type(), onnx::TensorProto::FLOAT);
  EXPECT_EQ(initializer(proto, "fc.weight")->data_type(), onnx::TensorProto::FLOAT16);
  EXPECT_EQ(initializer(proto, "bn1.running_var")->data_type(), onnx::TensorProto::FLOAT);
}

TEST_F(ExportTest, PixelsAreNormalisedInTheGraph) {
  Model model = built("cifar_resnet20");
  model.preprocess.colour = "BGR";
  ExportOptions options;
  options.with_preprocessing = true;
  const onnx::ModelProto proto = parsed(to_onnx(model, options));
  const auto& in = proto.graph().input(0);
  EXPECT_EQ(in.name(), "pixels");
  EXPECT_EQ(in.type().tensor_type().elem_type(), onnx::TensorProto::UINT8);
  EXPECT_EQ(in.type().tensor_type().shape().dim(3).dim_value(), 3) << "NHWC, as decoders give it";
  EXPECT_EQ(count_of(proto, "Gather"), 1) << "RGB to BGR";
}

// A network of one layer under test, from (1, 4, 5, 3) to logits.
Model around(const std::function<Value(Graph&, Value)>& layer) {
  Model model;
  model.name = "small";
  model.input = model.graph.input("input", {DType::f32, {1, 4, 5, 3}});
  const Value x = flatten(model.graph, layer(model.graph, model.input), "flatten");
  const TensorDesc desc{DType::f32, {3, model.graph.shape(x)[1]}};
  model.logits = linear(model.graph, x, model.graph.parameter("fc.weight", desc), {}, "fc");
  const Tensor weight = Tensor::host(desc);
  for (int64_t i = 0; i < weight.elements(); ++i) {
    weight.as<float>()[i] = std::sin(1.3f * static_cast<float>(i));
  }
  model.tensors["fc.weight"] = weight;
  return model;
}

TEST_F(ExportTest, EveryShapeOpGivesTheSameLogitsThere) {
  const std::vector<std::function<Value(Graph&, Value)>> layers{
      [](Graph&, Value x) { return x; },
      [](Graph& g, Value x) {
        return slice(g, x, {{1, 3}, {0, 1}, {4, 3}, {2, 1}}, "slice");
      },
      [](Graph& g, Value x) {
        return pad(g, x, {{2, 3}, {1, 0}, {0, 2}}, "pad");
      },
      [](Graph& g, Value x) {
        return concat(g, {x, relu(g, x, "r")}, 3, "concat");
      },
      [](Graph& g, Value x) {
        return max_pool(g, x, {{2, 2}, {2, 2}, {0, 0, 0, 0}, true, false}, "pool");
      },
      [](Graph& g, Value x) {
        return avg_pool(g, x, {{2, 2}, {2, 2}, {1, 1, 0, 0}, true, true}, "pool");
      },
      [](Graph& g, Value x) { return affine(g, x, 2, -0.5, "affine"); },
      [](Graph& g, Value x) { return activation(g, x, Activation::hard_swish, "act"); },
      [](Graph& g, Value x) { return activation(g, x, Activation::relu6, "act"); },
  };
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::vector<float> want = logits(around(layers[i])),
                             got = logits(round_trip(around(layers[i])));
    for (size_t k = 0; k < want.size(); ++k) EXPECT_NEAR(got[k], want[k], 1e-5) << i;
  }
}

TEST_F(ExportTest, WhatOnnxCanNotSayIsRefusedByName) {
  const auto says = [](const Model& model, const std::string& part) {
    try {
      to_onnx(model, {});
      ADD_FAILURE() << "no error; expected " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::input);
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  says(around([](Graph& g, Value x) {
         return resize_images(g, x, {{2, 2}}, "smaller");
       }),
       "layer 'smaller': resize_images can't be written as ONNX");
  says(around([](Graph& g, Value x) {
         return broadcast_to(g, x, {1, 4, 5, 3}, "wide");
       }),
       "layer 'wide': broadcast_to");
}

TEST_F(ExportTest, TorchvisionsNamesAndLayouts) {
  const Model model = built("r18");
  export_torch(model, path("r18.safetensors"), TorchLayout::torchvision);
  const Safetensors file = read_safetensors(path("r18.safetensors"));
  EXPECT_EQ(file.tensors.size(), 122u) << "the state dict of torchvision.models.resnet18";
  EXPECT_EQ(file.tensors.at("conv1.weight").shape(), (Shape{64, 3, 7, 7}));
  EXPECT_EQ(file.tensors.at("conv1.weight").as<float>()[1],
            model.tensors.at("conv1.weight").as<float>()[3]);
  EXPECT_EQ(file.tensors.at("layer2.0.downsample.1.num_batches_tracked").desc(),
            (TensorDesc{DType::i64, Shape{}}));
}

TEST_F(ExportTest, OptionAHasNamesOfItsOwn) {
  const Model model = built("cifar_resnet20");
  export_torch(model, path("r20.safetensors"), TorchLayout::akamaster);
  const Safetensors file = read_safetensors(path("r20.safetensors"));
  EXPECT_TRUE(file.tensors.contains("linear.weight"));
  EXPECT_FALSE(file.tensors.contains("fc.weight"));
  const auto says = [&](const Model& other, TorchLayout layout, const std::string& part) {
    try {
      export_torch(other, path("no.safetensors"), layout);
      ADD_FAILURE() << "no error; expected " << part;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
    EXPECT_FALSE(std::filesystem::exists(path("no.safetensors")));
  };
  says(model, TorchLayout::torchvision, "--layout akamaster");
  says(built("r18"), TorchLayout::akamaster, "downsample");
  says(fold_bn(built("r18")), TorchLayout::torchvision, "conv1.weight.folded_bias");
}

}  // namespace
}  // namespace kd
