// cuDNN's plans for every convolution of the models and of the case table, built for described
// devices by the engine's own code: no GPU is needed, and nothing is run.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>

#include "backend/cuda/cudnn_plan.h"
#include "cudnn/patterns.h"

namespace kd::test {
namespace {

struct DeviceUnderTest {
  std::string file;
  int sm;
};
void PrintTo(const DeviceUnderTest& device, std::ostream* out) { *out << device.file; }
const DeviceUnderTest kDevices[] = {{"a100", 80}, {"h200", 90}, {"b200", 100}};

cuda::Target target_for(const DeviceUnderTest& device) {
  const std::string path =
      std::string(KD_SOURCE_DIR) + "/tests/cudnn/devices/" + device.file + ".json";
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty()) << path;
  return {nullptr, text.str(), device.sm};
}

using Parameters = std::tuple<DeviceUnderTest, DType>;

class Plans : public testing::TestWithParam<Parameters> {
 protected:
  // Empty if there is a plan, else why there is none. Asks cuDNN once for each pattern.
  std::string why_not(const cuda::Pattern& pattern) {
    const auto [at, fresh] = built_.try_emplace(pattern.key());
    if (fresh) {
      const cuda::PlanList list = cuda::build_plans(pattern, target_);
      if (list.plans.empty()) {
        at->second = list.why_none;
      } else {
        EXPECT_FALSE(list.plans[0]->serialized().empty()) << pattern.key();
      }
    }
    return at->second;
  }

  // What this device is known to lack: sm_100 has no scale + bias + ReLU in front of a convolution.
  // The case table's odd sizes have fewer kernels everywhere.
  bool may_lack(const Wanted& wanted, const cuda::Pattern& pattern) const {
    return wanted.what == "case table" ||
           (target_.sm == 100 && (pattern.kind == cuda::PatternKind::scale_relu_conv_stats ||
                                  pattern.kind == cuda::PatternKind::scale_relu_wgrad));
  }

  void report(const Wanted& wanted) {
    const auto start = std::chrono::steady_clock::now();
    int built = 0, expands = 0;
    for (const cuda::Pattern& pattern : wanted.patterns) {
      const std::string why = why_not(pattern);
      if (why.empty()) {
        ++built;
      } else if (pattern.kind >= cuda::PatternKind::conv_bias_act) {
        ++expands;
        std::cout << "  expanded: " << pattern.key() << ": " << why << "\n";
        EXPECT_TRUE(may_lack(wanted, pattern)) << pattern.key() << ": " << why;
        EXPECT_EQ(why_not(expanded(pattern)), "") << pattern.key();
      } else {
        ADD_FAILURE() << "no plan and no fallback: " << pattern.key() << ": " << why;
      }
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const auto& [device, dtype] = GetParam();
    std::cout << "| sm_" << device.sm << " " << std::setw(4) << name_of(dtype) << " | "
              << std::setw(26) << std::left << wanted.what << std::right << " | " << std::setw(4)
              << wanted.nodes << " nodes | " << std::setw(3) << wanted.patterns.size()
              << " patterns | " << std::setw(3) << built << " built | " << std::setw(2)
              << expands + wanted.no_pattern << " expanded | " << std::fixed << std::setprecision(1)
              << std::setw(5) << seconds.count() << " s |\n";
  }

  cuda::Target target_ = target_for(std::get<0>(GetParam()));
  std::map<std::string, std::string> built_;
};

TEST_P(Plans, FinaliseForEveryConvolution) {
  const DType dtype = std::get<1>(GetParam());
  report(case_patterns(dtype));
  for (const char* model : {"r18", "r34", "r50", "r101", "cifar_resnet20", "cifar_resnet56"}) {
    const int64_t batch = std::string_view(model).starts_with("cifar") ? 128 : 32;
    report(inference_patterns(model, dtype, batch));
    report(training_patterns(model, dtype, batch));
  }
}

TEST_P(Plans, FinaliseForTheBatchNormChain) {
  if (std::get<1>(GetParam()) != DType::f16) GTEST_SKIP() << "cuDNN has these kernels for f16";
  for (const char* model : {"r18", "r50"}) report(chain_patterns(model, 32));
}

INSTANTIATE_TEST_SUITE_P(Devices, Plans,
                         testing::Combine(testing::ValuesIn(kDevices),
                                          testing::Values(DType::f16, DType::bf16, DType::f32)),
                         [](const testing::TestParamInfo<Parameters>& of) {
                           return "sm" + std::to_string(std::get<0>(of.param).sm) + "_" +
                                  std::string(name_of(std::get<1>(of.param)));
                         });

TEST(PlanTarget, ARefusedDeviceDescriptionIsAnError) {
  cuda::Pattern pattern;
  pattern.x = pattern.y = {1, 8, 8, 8}, pattern.w = {8, 1, 1, 8};
  EXPECT_THROW(cuda::build_plans(pattern, {nullptr, "{}", 90}), Error);
}

}  // namespace
}  // namespace kd::test
