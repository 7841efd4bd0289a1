// The importer on graphs written here: the numbers PyTorch's order would give, old and new forms of
// the same thing, and refusals that name node, op and attribute.
#include <fstream>
#include <functional>

#include "kd/dtype.h"
#include "support/onnx_file.h"

namespace kd {
namespace {

using namespace test;

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

// As the files of Caffe's time do: AlexNet, VGG, SqueezeNet, GoogLeNet.
TEST_F(OnnxTest, OutputsThatNothingReadsNeedNotBeSupported) {
  const auto with = [](bool declared, const std::string& read) {
    OnnxFile file(3, 4, 4);
    file.opset(9);
    auto& pool = file.node("MaxPool", {"x"}, "p");
    integers(pool, "kernel_shape", {2, 2});
    auto& dropout = file.node("Dropout", {"p"}, "d");
    if (declared) {
      pool.add_output("indices");
      dropout.add_output("mask");
    }
    file.node("GlobalAveragePool", {read}, "g");
    file.node("Flatten", {"g"}, "y");
    return file;
  };
  const std::vector<float> x = numbers(48, 0.9);
  EXPECT_EQ(logits(import(with(true, "d").bytes()), x),
            logits(import(with(false, "d").bytes()), x));
  // What is read is refused, by the name of its maker.
  says(with(true, "mask"), "Dropout 'Dropout_d': the output of the mask is not supported");
  says(with(true, "indices"), "MaxPool 'MaxPool_p': the output of indices is not supported");
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

TEST_F(OnnxTest, TruncatedAnywhereIsAnError) {
  const std::string whole = convolution().bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(message(whole.substr(0, size)), "no error") << size;
  }
}

}  // namespace
}  // namespace kd
