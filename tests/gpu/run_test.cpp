// Whole runs on a device: learning, the same bytes for the same seed, resuming.
#include <gtest/gtest.h>

#include "core/file.h"
#include "gpu/device.h"
#include "kd/trainer.h"
#include "support/small_task.h"

namespace kd::test {
namespace {

class GpuRun : public testing::Test {
 protected:
  RunConfig config(const std::string& name) const {
    RunConfig c = task_.config(name);
    c.device = "cuda";
    c.epochs = 3;
    c.pad_crop = 1;
    c.flip = 0.5;
    return c;
  }
  SmallTask task_;
};

TEST_F(GpuRun, LearnsInEveryPrecision) {
  KD_NEEDS_A_GPU();
  for (const char* precision : {"fp32", "tf32", "fp16", "bf16"}) {
    RunConfig c = config(precision);
    c.precision = precision;
    EXPECT_GE(train(c, {}).best_top1, 90) << precision;
  }
}

TEST_F(GpuRun, SameSeedSameBytesInEveryPipeline) {
  KD_NEEDS_A_GPU();
  for (const char* mode : {"serial", "streams", "graph"}) {
    RunConfig c = config(mode);
    c.pipeline = mode;
    train(c, {});
  }
  EXPECT_EQ(task_.last("serial"), task_.last("streams"));
  EXPECT_EQ(task_.last("serial"), task_.last("graph"));
}

TEST_F(GpuRun, AnInterruptedRunResumesToTheSameBytes) {
  KD_NEEDS_A_GPU();
  train(config("whole"), {});
  int steps = 0;
  Watcher watcher;
  watcher.stop = [&] { return ++steps == 7; };
  EXPECT_TRUE(train(config("torn"), watcher).interrupted);
  RunConfig again = config("torn");
  again.resume = true;
  train(again, {});
  EXPECT_EQ(task_.last("whole"), task_.last("torn"));
}

}  // namespace
}  // namespace kd::test
