// Teachers that others trained and exported must give the logits they gave there.
#include <gtest/gtest.h>

#include <cstdlib>

#include "support/support.h"

namespace kd {
namespace {

class ImportTest : public testing::TestWithParam<const char*> {};

TEST_P(ImportTest, GivesTheExpectedLogits) {
  const auto data = test::real_data();
  if (!data)
    GTEST_SKIP() << "no real teachers: set KD_DATA to a folder with teachers/*.onnx and *.json";
  const std::string base = (*data / "teachers" / GetParam()).string();
  const test::TemporaryFolder folder;
  const std::string output = (folder.path() / "model.bin").string();
  const std::string command = std::string(KD_BIN_DIR) + "/kdimport " + base + ".onnx -o " + output +
                              " --verify " + base + ".json --tolerance 1e-4";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  EXPECT_TRUE(std::filesystem::exists(output));
}

INSTANTIATE_TEST_SUITE_P(Teachers, ImportTest,
                         testing::Values("cifar10_resnet20", "cifar10_resnet56",
                                         "cifar10_resnet56_rawbn", "imagenet_mobilenet_v2_ptq",
                                         "imagenet_squeezenet_v11_caffe"));

}  // namespace
}  // namespace kd
