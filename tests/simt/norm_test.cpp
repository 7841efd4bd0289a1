// What the case table cannot say of the norm kernels: raw sums, many partial sums, poisoned
// workspaces, unaligned memory, NaN.
#include "kernels/norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/mask.h"
#include "kernels/norm_backward.h"

namespace kd::kernels {
namespace {

using Floats = std::vector<float>;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Floats normal(size_t count, float scale, float shift) {
  std::mt19937_64 random(count);
  std::normal_distribution<float> draw(shift, scale);
  Floats values(count);
  for (float& value : values) value = draw(random);
  return values;
}

// Statistics of sums given as they are.
struct Finalized {
  Floats mean, var, scale, bias;
};
Finalized finalize(const NormSums& sums, int64_t rows, int64_t channels) {
  const auto c = static_cast<size_t>(channels);
  const Floats gamma(c, 2), beta(c, 0.5f);
  Finalized made{Floats(c), Floats(c), Floats(c), Floats(c)};
  NormFinalize args;
  args.sums = sums;
  args.rows = rows, args.channels = channels;
  args.gamma = gamma.data(), args.beta = beta.data();
  args.mean = made.mean.data(), args.var = made.var.data();
  args.scale = made.scale.data(), args.bias = made.bias.data();
  norm_finalize({}, args);
  return made;
}

TEST(Norm, FinalizesRawSums) {
  const Floats sum{10, -4, 0}, square{30, 8, 5};
  const Finalized made = finalize({sum.data(), square.data()}, 5, 3);
  const double want_mean[] = {2, -0.8, 0}, want_var[] = {2, 0.96, 1};
  for (size_t c = 0; c < 3; ++c) {
    const double scale = 2 / std::sqrt(want_var[c] + 1e-5);
    EXPECT_FLOAT_EQ(static_cast<float>(want_mean[c]), made.mean[c]);
    EXPECT_FLOAT_EQ(static_cast<float>(want_var[c]), made.var[c]);
    EXPECT_FLOAT_EQ(static_cast<float>(scale), made.scale[c]);
    EXPECT_FLOAT_EQ(static_cast<float>(0.5 - want_mean[c] * scale), made.bias[c]);
  }
}

// mean 1000, std 1e-3: the float sums cannot tell, and by luck fall below mean^2.
TEST(Norm, ClampsAVarianceThatCancelled) {
  const Floats sum{4000}, square{std::nextafter(4e6f, 0.0f)};
  const Finalized made = finalize({sum.data(), square.data()}, 4, 1);
  EXPECT_EQ(1000, made.mean[0]);
  EXPECT_EQ(0, made.var[0]);
  EXPECT_FLOAT_EQ(static_cast<float>(2 / std::sqrt(1e-5)), made.scale[0]);
}

TEST(Norm, KeepsNanOfSums) {
  const Floats sum{kNan, 1}, square{1, kNan};
  const Finalized made = finalize({sum.data(), square.data()}, 4, 2);
  for (size_t c = 0; c < 2; ++c) EXPECT_TRUE(std::isnan(made.var[c]) && std::isnan(made.bias[c]));
}

TEST(Norm, SumsManyPartials) {
  constexpr int64_t kChannels = 11, kPartials = 75, kStride = 2 * kChannels;
  Floats partials(kPartials * kStride);
  std::iota(partials.begin(), partials.end(), 0.0f);  // exact in double
  const Floats shift(kChannels, 7);
  const Finalized made =
      finalize({partials.data(), partials.data() + kChannels, shift.data(), kPartials, kStride},
               100, kChannels);
  for (int64_t c = 0; c < kChannels; ++c) {
    const double sum = kPartials * (kPartials - 1) / 2.0 * kStride + kPartials * c;
    EXPECT_FLOAT_EQ(static_cast<float>(7 + sum / 100), made.mean[static_cast<size_t>(c)]);
  }
}

// Everything norm_train and norm_backward write, from memory that starts `offset` floats off its
// alignment and a workspace filled with NaN.
struct Trained {
  Floats y, mean, var, running_mean, running_var, dx, dgamma, dbeta;
  std::vector<uint8_t> mask;
};
Trained train(const Floats& x, int64_t rows, int64_t channels, size_t offset) {
  const auto n = static_cast<size_t>(rows * channels), c = static_cast<size_t>(channels);
  const NormShape shape{Type::f32, rows, channels};
  const size_t workspace_floats = norm_workspace(shape) / sizeof(float);
  alignas(32) static float memory[4][1 << 14];
  float *px = memory[0] + offset, *py = memory[1] + offset, *pdx = memory[2] + offset;
  std::copy(x.begin(), x.end(), px);
  Floats workspace(workspace_floats, kNan), gamma(c, 1.5f), beta(c, 0.25f);
  Trained made;
  for (Floats* v : {&made.mean, &made.var, &made.dgamma, &made.dbeta}) v->assign(c, kNan);
  made.running_mean.assign(c, 1), made.running_var.assign(c, 1);
  made.mask.assign((n + 7) / 8, 0xFF);

  NormTrain forward;
  forward.shape = shape;
  forward.x = px, forward.y = py;
  forward.gamma = gamma.data(), forward.beta = beta.data();
  forward.running_mean = made.running_mean.data(), forward.running_var = made.running_var.data();
  forward.mean = made.mean.data(), forward.var = made.var.data();
  forward.relu = true, forward.mask = made.mask.data();
  forward.workspace = workspace.data();
  norm_train({}, forward);
  workspace.assign(workspace_floats, kNan);

  NormBackward backward;
  backward.shape = shape;
  backward.dy = px, backward.x = px;
  backward.mask = made.mask.data();
  backward.gamma = gamma.data(), backward.mean = made.mean.data(), backward.var = made.var.data();
  backward.dx = pdx, backward.dgamma = made.dgamma.data(), backward.dbeta = made.dbeta.data();
  backward.workspace = workspace.data();
  norm_backward({}, backward);
  made.y.assign(py, py + n);
  made.dx.assign(pdx, pdx + n);
  return made;
}

void expect_near(const Floats& got, const Floats& want, float tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], tolerance * (1 + std::abs(want[i]))) << i;
  }
}

TEST(Norm, UnalignedMemoryTakesTheScalarPath) {
  const int64_t rows = 70, channels = 24;
  const Floats x = normal(static_cast<size_t>(rows * channels), 2, 1);
  const Trained aligned = train(x, rows, channels, 0), off = train(x, rows, channels, 1);
  expect_near(off.y, aligned.y, 1e-5f);
  expect_near(off.dx, aligned.dx, 1e-5f);
  expect_near(off.dgamma, aligned.dgamma, 1e-5f);
  expect_near(off.running_var, aligned.running_var, 1e-5f);
  EXPECT_EQ(off.mask, aligned.mask);
}

// A NaN spoils its channel and no other, and its gate is shut.
TEST(Norm, NanStaysInItsChannel) {
  const int64_t rows = 40, channels = 16;
  Floats x = normal(static_cast<size_t>(rows * channels), 1, 0);
  const Trained clean = train(x, rows, channels, 0);
  x[9 * 16 + 5] = kNan;
  const Trained made = train(x, rows, channels, 0);
  for (size_t i = 0; i < x.size(); ++i) {
    if (i % 16 == 5) {
      EXPECT_TRUE(std::isnan(made.y[i]) && std::isnan(made.dx[i])) << i;
      EXPECT_EQ(0, made.mask[i / 8] >> i % 8 & 1) << i;
    } else {
      EXPECT_EQ(clean.y[i], made.y[i]) << i;
      EXPECT_EQ(clean.dx[i], made.dx[i]) << i;
    }
  }
}

TEST(Norm, RunningStatisticsUseTheUnbiasedVariance) {
  const Floats x{1, 3, 5, 7};
  const Trained made = train(x, 4, 1, 0);
  EXPECT_FLOAT_EQ(4, made.mean[0]);
  EXPECT_FLOAT_EQ(5, made.var[0]);
  EXPECT_FLOAT_EQ(0.9f + 0.4f, made.running_mean[0]);
  EXPECT_FLOAT_EQ(0.9f + 0.1f * 20 / 3, made.running_var[0]);
}

}  // namespace
}  // namespace kd::kernels
