// The CUDA engine on a device: the case table, and steps beside the CPU engine.
#include <gtest/gtest.h>

#include "cases/checks.h"
#include "gpu/device.h"
#include "support/cifar_job.h"
#include "support/parity.h"

namespace kd::test {
namespace {

std::string name_of_case(const testing::TestParamInfo<CaseOf>& info) {
  return info.param.a_case->name;
}

class Gpu : public testing::TestWithParam<CaseOf> {
 protected:
  void check(const Case& a_case) {
    KD_NEEDS_A_GPU();
    const Built built = build(a_case, contents(a_case));
    if (!runs_on(built, cuda())) GTEST_SKIP() << "the CUDA engine does not run this case";
    EXPECT_EQ("", check_outputs(a_case, built, cuda()));
    if (!has_gradient(a_case)) return;
    EXPECT_EQ("", check_gradients(a_case, built, cuda()));
  }
};

TEST_P(Gpu, MatchesTheOracle) { check(*GetParam().a_case); }
TEST_P(Gpu, MatchesTheOracleInF16) {
  if (!GetParam().a_case->f32_only) check(lowered(*GetParam().a_case, DType::f16));
}
TEST_P(Gpu, MatchesTheOracleInBf16) {
  if (!GetParam().a_case->f32_only) check(lowered(*GetParam().a_case, DType::bf16));
}
bool always(const Case&) { return true; }
INSTANTIATE_TEST_SUITE_P(Cases, Gpu, testing::ValuesIn(cases_where(always)), name_of_case);

TEST(GpuParity, AResNet18StepIsTheCpuEngines) {
  KD_NEEDS_A_GPU();
  for (const char* precision : {"fp32", "fp16", "bf16"}) {
    EXPECT_EQ("", compare_with_cpu(resnet18_job(32, 1), cuda(), precision)) << precision;
  }
}

TEST(GpuParity, EveryFusionIsTheCpuEngines) {
  KD_NEEDS_A_GPU();
  ParityJob job = resnet18_job(32, 1);
  for (const char* fusion : {"plain", "f1", "f2"}) {
    job.config.fusion = fusion;
    EXPECT_EQ("", compare_with_cpu(job, cuda(), "fp16")) << fusion;
  }
}

TEST(GpuParity, TheFirstLossesOfTheCifarJobAgree) {
  KD_NEEDS_A_GPU();
  const std::optional<ParityJob> job = cifar_job(128, 20);
  if (!job)
    GTEST_SKIP() << "no real data: set KD_DATA to a folder with cifar10.tar.gz and teachers/";
  EXPECT_EQ("", compare_losses(*job, cuda(), "fp32"));
}

TEST(GpuPipeline, EveryModeGivesTheSameBits) {
  KD_NEEDS_A_GPU();
  ParityJob job = resnet18_job(16, 12);
  std::vector<double> want;
  for (const char* mode : {"serial", "streams", "graph"}) {
    job.config.pipeline = mode;
    const std::vector<double> losses = fed_losses(job, cuda());
    if (want.empty()) want = losses;
    EXPECT_EQ(losses, want) << mode;
  }
}

}  // namespace
}  // namespace kd::test
