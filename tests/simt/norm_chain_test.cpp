// Operands that do not lie where vectors may: parameters and gradients anywhere in a flat arena.
#include "kernels/norm_chain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/kd_cuda.h"

namespace kd::kernels {
namespace {

constexpr int64_t kRows = 37, kChannels = 8;

// Values between -1 and 1, from `offset` floats past a 32-byte boundary.
class Operand {
 public:
  Operand(int64_t count, int64_t offset, float phase = 0) : all_(static_cast<size_t>(count) + 16) {
    const auto past = reinterpret_cast<uintptr_t>(all_.data()) / sizeof(float) % 8;
    at_ = all_.data() + (8 - past) % 8 + offset;
    for (int64_t i = 0; i < count; ++i) at_[i] = std::sin(static_cast<float>(i) * 1.7f + phase);
  }
  float* data() { return at_; }

 private:
  std::vector<float> all_;
  float* at_;
};

std::vector<float> activations(int64_t offset, int64_t vector_offset) {
  Operand x(kRows * kChannels, offset, 1), y(kRows * kChannels, offset);
  Operand scale(kChannels, vector_offset, 2), bias(kChannels, vector_offset, 3);
  scale_bias_relu({}, {Type::f32, x.data(), scale.data(), bias.data(), nullptr, nullptr, nullptr,
                       y.data(), kRows, kChannels});
  return {y.data(), y.data() + kRows * kChannels};
}

std::vector<float> gradients(int64_t offset, int64_t vector_offset, bool in_place = false) {
  Operand dz(kRows * kChannels, offset, 1), x(kRows * kChannels, offset, 2);
  Operand dx(kRows * kChannels, offset);
  Operand gamma(kChannels, vector_offset, 3), mean(kChannels, vector_offset, 4);
  Operand dgamma(kChannels, vector_offset, 5), dbeta(kChannels, vector_offset, 6);
  std::vector<float> var(kChannels, 0.5f);
  float* to = in_place ? dz.data() : dx.data();
  norm_input_grad({}, {Type::f32, dz.data(), x.data(), gamma.data(), mean.data(), var.data(),
                       dgamma.data(), dbeta.data(), to, kRows, kChannels, 1e-5});
  return {to, to + kRows * kChannels};
}

TEST(NormChainSimt, AlignmentChangesNoBit) {
  const std::vector<float> y = activations(0, 0), dx = gradients(0, 0);
  for (const int64_t offset : {0, 1}) {
    for (const int64_t vector_offset : {0, 1, 2}) {
      EXPECT_EQ(y, activations(offset, vector_offset));
      EXPECT_EQ(dx, gradients(offset, vector_offset));
    }
  }
}

TEST(NormChainSimt, TheGradientMayOverwriteItsInput) {
  EXPECT_EQ(gradients(0, 0), gradients(0, 0, true));
  EXPECT_EQ(gradients(1, 0), gradients(1, 0, true));
}

}  // namespace
}  // namespace kd::kernels
