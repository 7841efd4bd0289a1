// The vectors for cuDNN's batch-norm chain; the steps that launch them need a GPU.
#include "kernels/norm_vectors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/numeric.cuh"

namespace kd::kernels {
namespace {

using Vector = std::vector<float>;

TEST(NormVectors, ScaleAndBiasAreRoundedToF16) {
  const Vector scale{1, -0.1F, 3e-8F, 70000, NAN}, bias{0, 2048.5F, -1, 65504, 1};
  std::vector<f16> to_scale(5), to_bias(5);
  scale_bias_16({}, {scale.data(), bias.data(), to_scale.data(), to_bias.data(), 5});
  for (size_t c = 0; c < 5; ++c) {
    EXPECT_EQ(to_scale[c].bits, from_float<f16>(scale[c]).bits);
    EXPECT_EQ(to_bias[c].bits, from_float<f16>(bias[c]).bits);
  }
  EXPECT_EQ(to_float(to_scale[3]), INFINITY);
}

// gamma (x - mean) inv_std + beta is the same function of x as x scale + bias.
TEST(NormVectors, TheNormIsTheOneThatScaleAndBiasCameFrom) {
  constexpr int64_t kChannels = 131;
  constexpr float kEps = 1e-5F;
  Vector scale, bias, mean, var, inv_std(kChannels), gamma(kChannels), beta(kChannels);
  for (int c = 0; c < kChannels; ++c) {
    const auto i = static_cast<float>(c);
    scale.push_back(i / 50 - 1), bias.push_back(1 - i / 70);
    mean.push_back(i / 40 - 2), var.push_back(i / 30);  // the first one is 0
  }
  dgrad_vectors({}, {scale.data(), bias.data(), mean.data(), var.data(), inv_std.data(),
                     gamma.data(), beta.data(), kChannels, kEps});
  for (size_t c = 0; c < kChannels; ++c) {
    const double std = std::sqrt(static_cast<double>(var[c]) + kEps);
    EXPECT_NEAR(inv_std[c] * std, 1, 1e-6) << c;
    EXPECT_NEAR(gamma[c] * inv_std[c], scale[c], 1e-6) << c;
    EXPECT_NEAR(beta[c] - scale[c] * mean[c], bias[c], 1e-6) << c;
  }
}

}  // namespace
}  // namespace kd::kernels
