// --profile of whole runs: the files it leaves, and that the run computes what it computes without.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/file.h"
#include "core/json.h"
#include "kd/trainer.h"
#include "support/small_task.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

class ProfileRunTest : public testing::Test {
 protected:
  RunConfig config(const std::string& name) const {
    RunConfig c = task_.config(name);
    c.epochs = 3;
    c.threads = 2;
    c.scorecard = false;
    return c;
  }
  // A run that is taught by one without a teacher.
  RunConfig taught(const std::string& name, const std::string& pipeline) const {
    RunConfig c = config(name);
    c.teacher = {task_.at("teacher/best.bin").string()};
    c.pipeline = pipeline;
    c.accumulate = 2;  // every second step only updates weights
    return c;
  }
  test::SmallTask task_;
};

struct Event {
  double begin, end;
};

// The complete events of each thread, by its name.
std::map<std::string, std::vector<Event>> threads_of(const Json& trace) {
  std::map<int, std::string> names;
  std::map<std::string, std::vector<Event>> threads;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("name") == "thread_name") {
      names[event.at("tid").get<int>()] = event.at("args").at("name").get<std::string>();
    }
    if (event.at("ph") != "X") continue;
    const auto begin = event.at("ts").get<double>();
    threads[names.at(event.at("tid").get<int>())].push_back(
        {begin, begin + event.at("dur").get<double>()});
  }
  return threads;
}

TEST_F(ProfileRunTest, ChangesNoWeightAndLeavesATraceWithoutOverlaps) {
  train(config("teacher"), {});
  for (const char* pipeline : {"serial", "streams"}) {
    const std::string plain = format("plain_{}", pipeline), timed = format("timed_{}", pipeline);
    train(taught(plain, pipeline), {});
    EXPECT_FALSE(fs::exists(task_.at(plain) / "trace.json"));
    RunConfig c = taught(timed, pipeline);
    c.profile = true;
    std::string said;
    Watcher watcher;
    watcher.note = [&](const std::string& line) { said += line + "\n"; };
    train(c, watcher);
    EXPECT_EQ(task_.last(plain), task_.last(timed)) << pipeline;
    EXPECT_NE(said.find("10 steps, one node at a time"), std::string::npos) << said;
    EXPECT_GT(fs::file_size(task_.at(timed) / "profile.txt"), 0u);

    auto threads = threads_of(read_json((task_.at(timed) / "trace.json").string()));
    for (const char* row : {"loader", "copy", "teacher", "forward", "backward", "optimiser"}) {
      ASSERT_TRUE(threads.contains(row)) << row;
      std::vector<Event>& events = threads[row];
      EXPECT_GE(events.size(), 10u) << row;
      std::ranges::sort(events, {}, &Event::begin);
      for (size_t i = 1; i < events.size(); ++i) {
        EXPECT_GE(events[i].begin, events[i - 1].end - 1e-3) << row;  // rounded microseconds
      }
    }
    EXPECT_LE(threads["teacher"].front().end, threads["forward"].front().begin + 1e-3);
    EXPECT_LE(threads["forward"].front().end, threads["backward"].front().begin + 1e-3);
  }
}

TEST_F(ProfileRunTest, ARunTooShortSaysSo) {
  RunConfig c = config("short");
  c.profile = true;
  c.epochs = 1;
  c.batch_size = 16;  // three steps
  std::string said;
  Watcher watcher;
  watcher.note = [&](const std::string& line) { said += line + "\n"; };
  train(c, watcher);
  EXPECT_NE(said.find("none was timed"), std::string::npos) << said;
  EXPECT_FALSE(fs::exists(task_.at("short") / "trace.json"));
}

}  // namespace
}  // namespace kd
