// ONNX's light models: the graphs of nine well-known classifiers whose weights are constants that
// nodes make. Their expected outputs are the same for every class, so these tests show that the
// graphs import and that the numbers of a whole run are right in size; tools/check_light holds the
// same graphs with random weights against onnxruntime.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <numeric>

#include "io/onnx/array.h"
#include "support/onnx_file.h"

namespace kd::test {
namespace {

fs::path light_models() {
  const char* given = std::getenv("KD_ONNX_LIGHT_MODELS");
  return given ? fs::path(given) : fs::path(KD_SOURCE_DIR) / "build/deps/onnx/light";
}

void softmax(std::vector<float>& values) {
  const float most = std::ranges::max(values);
  for (float& value : values) value = std::exp(value - most);
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  for (float& value : values) value = static_cast<float>(value / sum);
}

class LightModelTest : public OnnxTest, public testing::WithParamInterface<const char*> {};

TEST_P(LightModelTest, GivesTheExpectedOutput) {
  const std::string base = (light_models() / (std::string("light_") + GetParam())).string();
  if (!fs::exists(base + ".onnx")) {
    GTEST_SKIP() << "no " << base << ".onnx: tools/setup fetches ONNX's light models";
  }
  bool ends_in_softmax = false;
  ImportOptions options;
  options.notice = [&](const std::string& line) {
    ends_in_softmax |= line.find("ends in a softmax") != std::string::npos;
  };
  const Model model = import_onnx(base + ".onnx", options);
  // What ONNX's own runner feeds: 0, 1/n, 2/n, ... in the order (C, H, W).
  std::vector<float> picture(static_cast<size_t>(model.graph.shape(model.input).elements()));
  for (size_t i = 0; i < picture.size(); ++i) {
    picture[i] = static_cast<float>(static_cast<double>(i) / static_cast<double>(picture.size()));
  }
  std::vector<float> got = logits(model, picture);
  if (ends_in_softmax) softmax(got);
  onnx::TensorProto tensor;
  std::ifstream stream(base + "_output_0.pb", std::ios::binary);
  ASSERT_TRUE(tensor.ParseFromIstream(&stream));
  const onnx_import::Array want = onnx_import::read_tensor(tensor, {});
  ASSERT_EQ(static_cast<int64_t>(got.size()), want.count());
  for (size_t i = 0; i < got.size(); ++i) {
    const double expected = want.at(static_cast<int64_t>(i));
    ASSERT_NEAR(got[i], expected, 1e-4 * std::abs(expected)) << "class " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Onnx, LightModelTest,
                         testing::Values("bvlc_alexnet", "densenet121", "inception_v1",
                                         "inception_v2", "resnet50", "shufflenet", "squeezenet",
                                         "vgg19", "zfnet512"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace kd::test
