// Whole training steps of the CUDA engine's kernels, on the host, beside the CPU engine.
#include "support/parity.h"

#include <gtest/gtest.h>

#include "simt/backend.h"
#include "support/cifar_job.h"

namespace kd::test {
namespace {

TEST(SimtParity, AResNet18StepIsTheCpuEngines) {
  const auto engine = make_simt_backend();
  EXPECT_EQ("", compare_with_cpu(resnet18_job(6, 1), *engine, "fp32"));
}

TEST(SimtParity, AResNet18StepIn16BitsIsNearTheCpuEngines) {
  const auto engine = make_simt_backend();
  const ParityJob job = resnet18_job(6, 1);
  EXPECT_EQ("", compare_with_cpu(job, *engine, "fp16"));
  EXPECT_EQ("", compare_with_cpu(job, *engine, "bf16"));
}

TEST(SimtParity, TheFirstLossesOfTheCifarJobAgree) {
  const std::optional<ParityJob> job = cifar_job(8, 20);
  if (!job)
    GTEST_SKIP() << "no real data: set KD_DATA to a folder with cifar10.tar.gz and teachers/";
  const auto engine = make_simt_backend();
  EXPECT_EQ("", compare_losses(*job, *engine, "fp32"));
}

}  // namespace
}  // namespace kd::test
