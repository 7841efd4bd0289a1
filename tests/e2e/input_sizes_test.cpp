// Teachers and assistants that take pictures of another size than the student.
#include <gtest/gtest.h>

#include "core/file.h"
#include "core/json.h"
#include "kd/error.h"
#include "kd/trainer.h"
#include "support/small_task.h"

namespace kd {
namespace {

constexpr const char* kLarge =
    R"({"input_size": [16, 16], "stem": {"kind": "cifar", "channels": 8},
  "preprocess": {"mean": [0.4, 0.4, 0.4], "std": [0.25, 0.25, 0.25]},
  "stages": [{"block": "basic", "channels": 8, "blocks": 1, "shortcut": "A"},
             {"block": "basic", "channels": 16, "blocks": 1, "stride": 2, "shortcut": "A"}]})";
constexpr const char* kGrey =
    R"({"input_size": [16, 16], "input_channels": 1, "stem": {"kind": "cifar", "channels": 8},
  "stages": [{"block": "basic", "channels": 8, "blocks": 1, "shortcut": "A"}]})";

class InputSizesTest : public testing::Test {
 protected:
  InputSizesTest() {
    write_file(task_.at("large.json"), kLarge);
    write_file(task_.at("grey.json"), kGrey);
  }
  RunConfig run(const std::string& name, const std::string& student) const {
    RunConfig c = task_.config(name);
    c.student = task_.at(student).string();
    c.epochs = 3;
    c.lr = 0.02;
    c.flip = 0.5;
    c.pad_crop = 1;
    c.threads = 2;
    return c;
  }
  RunConfig taught(const std::string& name, const std::string& student,
                   const std::string& teacher) const {
    RunConfig c = run(name, student);
    c.teacher = {task_.at(teacher).string()};
    return c;
  }
  int64_t side_of(const std::string& file) const {
    const Model model = load_model(task_.at(file));
    EXPECT_EQ(model.preprocess.crop_height, model.graph.shape(model.input)[1]) << file;
    return model.graph.shape(model.input)[1];
  }
  test::SmallTask task_;
};

TEST_F(InputSizesTest, ALargerTeacherTeachesASmallerStudentAndTheOtherWayRound) {
  const RunSummary alone = train(run("large", "large.json"), {});
  ASSERT_GE(alone.best_top1, 90);
  RunConfig down = taught("down", "student.json", "large/best.bin");
  down.mixup = 0.2;
  const RunSummary small = train(down, {});
  EXPECT_GE(small.teacher_top1, 90) << "of pictures resized from 8 x 8";
  EXPECT_GE(small.best_top1, 80);
  EXPECT_EQ(side_of("down/best.bin"), 8);
  const Json card = read_json(task_.at("down/scorecard.json").string());
  EXPECT_DOUBLE_EQ(card.at("teacher").at("top1").get<double>(), small.teacher_top1);
  EXPECT_EQ(load_model(task_.at("down/best.bin")).preprocess.mean[0], 0.4) << "its teacher's";
  RunConfig up = taught("up", "large.json", "down/best.bin");
  up.epochs = 6;
  const RunSummary large = train(up, {});
  EXPECT_NEAR(large.teacher_top1, small.best_top1, 10) << "shrunk from 16 x 16";
  EXPECT_GE(large.best_top1, 80);
}

TEST_F(InputSizesTest, AnAssistantMayBeLarger) {
  train(run("large", "large.json"), {});
  write_file(task_.at("recipe.json"), R"({"stages": [
    {"name": "assistant", "epochs": 3, "assistant": ")" +
                                          task_.at("large.json").string() +
                                          R"(", "terms": [{"term": "ce"}, {"term": "kl"}]},
    {"name": "distil", "epochs": 3, "terms": [{"term": "ce"}, {"term": "kl"}]}]})");
  RunConfig c = taught("staged", "student.json", "large/best.bin");
  read_config(task_.at("recipe.json"), c);
  std::vector<double> top1;
  Watcher watcher;
  watcher.epoch = [&](const EpochReport& r) { top1.push_back(r.val_top1); };
  train(c, watcher);
  ASSERT_EQ(top1.size(), 6u);
  EXPECT_GE(std::max(top1[1], top1[2]), 80) << "the assistant";
  EXPECT_GE(std::max(top1[4], top1[5]), 80) << "the student";
  EXPECT_EQ(side_of("staged/assistant_1.bin"), 16);
  EXPECT_EQ(side_of("staged/best.bin"), 8);
}

TEST_F(InputSizesTest, OtherChannelsAreRefused) {
  RunConfig grey = run("grey", "grey.json");
  grey.epochs = 1;
  train(grey, {});
  try {
    train(taught("refused", "student.json", "grey/last.bin"), {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("other channels"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace kd
