// Learning rates against PyTorch's schedulers and against their definitions.
#include "distill/schedule.h"

#include <gtest/gtest.h>

namespace kd {
namespace {

RunConfig config(const std::string& sched) {
  RunConfig c;
  c.sched = sched;
  c.lr = 0.1;
  c.epochs = 4;
  return c;
}

// torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=40, pct_start=0.15), PyTorch 1.13.
TEST(ScheduleTest, OneCycleIsPyTorchs) {
  const RunConfig c = config("one-cycle");
  const std::vector<std::pair<int64_t, double>> published{
      {0, 0.004},        {1, 0.0131671843},  {3, 0.0668328157},    {5, 0.1},
      {6, 0.0997867097}, {20, 0.0591876391}, {38, 0.000213690332}, {39, 4e-07}};
  for (const auto& [step, lr] : published) {
    EXPECT_NEAR(learning_rate(c, step, 10), lr, 1e-9) << step;
  }
}

TEST(ScheduleTest, ConstantStays) {
  EXPECT_EQ(learning_rate(config("constant"), 0, 10), 0.1);
  EXPECT_EQ(learning_rate(config("constant"), 39, 10), 0.1);
}

TEST(ScheduleTest, StepDropsAtItsEpochs) {
  RunConfig c = config("step");
  c.step_epochs = 1.5;
  c.step_factor = 0.5;
  EXPECT_DOUBLE_EQ(learning_rate(c, 14, 10), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(c, 15, 10), 0.05);
  EXPECT_DOUBLE_EQ(learning_rate(c, 30, 10), 0.025);
}

TEST(ScheduleTest, CosineEndsAtTheMinimum) {
  RunConfig c = config("cosine");
  c.min_lr = 0.01;
  EXPECT_DOUBLE_EQ(learning_rate(c, 0, 10), 0.1);
  EXPECT_NEAR(learning_rate(c, 20, 10), 0.055, 1e-12);
  EXPECT_GT(learning_rate(c, 39, 10), 0.01);
  EXPECT_NEAR(learning_rate(c, 39, 10), 0.01, 2e-4);
}

TEST(ScheduleTest, WarmUpClimbsToThePeak) {
  RunConfig c = config("cosine");
  c.warmup_epochs = 1;
  EXPECT_NEAR(learning_rate(c, 0, 10), 0.01, 1e-12);
  EXPECT_NEAR(learning_rate(c, 9, 10), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate(c, 10, 10), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate(c, 25, 10), 0.05, 1e-12);
}

TEST(ScheduleTest, OneStepIsEnough) {
  for (const char* sched : {"constant", "step", "cosine", "one-cycle"}) {
    RunConfig c = config(sched);
    c.epochs = 1;
    const double lr = learning_rate(c, 0, 1);
    EXPECT_TRUE(lr > 0 && lr <= 0.1) << sched << " " << lr;
  }
}

}  // namespace
}  // namespace kd
