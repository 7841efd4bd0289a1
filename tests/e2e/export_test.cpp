// kdexport as its users run it, and what it writes read by software that others wrote.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "kd/data.h"
#include "kd/model.h"
#include "support/pictures.h"
#include "support/process.h"
#include "support/support.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

class ExportProgramTest : public testing::Test {
 protected:
  ExportProgramTest() {
    save_model(build_model(std::string(KD_SOURCE_DIR) + "/models/cifar_resnet20.json", 10, 3),
               at("model.bin"));
  }
  std::string at(const std::string& name) const { return (folder_.path() / name).string(); }
  test::TemporaryFolder folder_;
};

TEST_F(ExportProgramTest, ExitCodesAndNothingHalfWritten) {
  const auto code = [&](const std::vector<std::string>& arguments) {
    return test::run("kdexport", arguments).code;
  };
  EXPECT_EQ(code({at("model.bin"), "-o", at("model.onnx"), "--fold-bn", "--fp16"}), 0);
  EXPECT_TRUE(fs::exists(at("model.onnx")));
  EXPECT_EQ(code({at("model.bin"), "-o", at("model.pt")}), 1);
  EXPECT_EQ(code({at("model.bin"), "-o", at("a.onnx"), "--opset", "12"}), 1);
  EXPECT_EQ(code({at("model.bin"), "-o", at("a.safetensors")}), 1);
  EXPECT_EQ(code({at("nothing.bin"), "-o", at("a.onnx")}), 2);
  EXPECT_EQ(code({at("model.bin"), "-o", at("a.safetensors"), "--layout", "torchvision"}), 2);
  EXPECT_EQ(test::run("kdexport", {at("model.bin"), "-o", at("a.onnx")}, 4096).code, 2);
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder_.path())) files += entry.exists() ? 1 : 0;
  EXPECT_EQ(files, 2u) << "the model and one export; no partial file";
}

TEST_F(ExportProgramTest, OnnxruntimeGivesTheSameLogits) {
  fs::create_directories(at("pictures"));
  for (int i = 0; i < 16; ++i) {
    Image image = test::picture(32, 32, 3);
    for (size_t k = 0; k < image.pixels.size(); ++k) {
      image.pixels[k] =
          static_cast<uint8_t>(image.pixels[k] * (i + 1) + k * static_cast<size_t>(i));
    }
    save_png(image, at("pictures/" + std::to_string(i) + ".png"));
  }
  const char* chosen = std::getenv("KD_PYTHON");
  const std::string own = std::string(KD_SOURCE_DIR) + "/build/deps/venv/bin/python";
  const std::string python = chosen ? chosen : fs::exists(own) ? own : "/usr/bin/python3";
  const test::Finished finished =
      test::run(python, {std::string(KD_SOURCE_DIR) + "/tools/check_export", "--model",
                         at("model.bin"), "--pictures", at("pictures"), "--bin", KD_BIN_DIR});
  if (finished.code == 77) GTEST_SKIP() << finished.text << " (or set KD_PYTHON)";
  EXPECT_EQ(finished.code, 0) << finished.text;
}

}  // namespace
}  // namespace kd
