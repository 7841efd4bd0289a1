// Whole searches on a small task: the good setting is found, an interruption changes nothing, what
// diverges is survived.
#include "kd/search.h"

#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "core/file.h"
#include "core/json.h"
#include "kd/error.h"
#include "support/process.h"
#include "support/small_task.h"

namespace kd {
namespace {

namespace fs = std::filesystem;
using test::Finished;
using Words = std::vector<std::string>;

class SearchTest : public testing::Test {
 protected:
  // Four candidates for 3 epochs, two of them for 6.
  SearchOptions options(const std::string& output) const {
    SearchOptions o;
    o.config.student = task_.at("student.json");
    o.config.data = task_.at("data");
    o.config.output = task_.at(output);
    o.config.epochs = 6;
    o.config.batch_size = 8;
    o.config.threads = 1;
    o.config.lr = 1e-6;
    o.config.search = {{"lr", {1e-7, 1e-5, 0.1}}};
    o.halving = {.budget = 24, .candidates = 4, .eta = 2};
    return o;
  }
  fs::path write_recipe_file(const std::string& search) const {
    const Json recipe = {{"student", task_.at("student.json")},
                         {"data", task_.at("data")},
                         {"epochs", 6},
                         {"batch-size", 8},
                         {"threads", 1},
                         {"lr", 1e-6},
                         {"search", parse_json(search, "search")}};
    write_file(task_.at("recipe.json"), recipe.dump());
    return task_.at("recipe.json");
  }
  Words searching(const std::string& output, const Words& more = {},
                  const std::string& budget = "24") const {
    Words words{"search", task_.at("recipe.json"), "--output", task_.at(output)};
    for (const char* word : {"--candidates", "4", "--eta", "2", "--budget"}) words.push_back(word);
    words.push_back(budget);
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  test::SmallTask task_;
};

void expect_same(const SearchPlan& a, const SearchPlan& b) {
  ASSERT_EQ(a.candidates.size(), b.candidates.size());
  for (size_t i = 0; i < a.candidates.size(); ++i) {
    const Candidate &x = a.candidates[i], &y = b.candidates[i];
    EXPECT_EQ(x.number, y.number);
    EXPECT_EQ(x.values, y.values);
    ASSERT_EQ(x.runs.size(), y.runs.size());
    for (size_t r = 0; r < x.runs.size(); ++r) {
      EXPECT_EQ(x.runs[r].epochs, y.runs[r].epochs);
      EXPECT_EQ(x.runs[r].top1, y.runs[r].top1);
      EXPECT_EQ(x.runs[r].loss, y.runs[r].loss);
      EXPECT_EQ(x.runs[r].diverged, y.runs[r].diverged);
    }
  }
}

TEST_F(SearchTest, FindsTheGoodSettingAmongAbsurdOnes) {
  int64_t reports = 0, epochs = 0;
  SearchWatcher watcher;
  watcher.run = [&](const SearchProgress& p) {
    EXPECT_EQ(p.done, ++reports);
    EXPECT_EQ(p.runs, 6);
    epochs += p.run.epochs;
  };
  const SearchSummary summary = search(options("a"), watcher);
  EXPECT_EQ(reports, 6);
  EXPECT_EQ(epochs, 24);
  const Candidate& best = summary.plan.candidates.front();
  EXPECT_EQ(best.values.at(0), 0.1);
  ASSERT_EQ(best.runs.size(), 2u);
  EXPECT_GE(best.runs.back().top1, 90);
  EXPECT_EQ(summary.plan.candidates.back().runs.size(), 1u) << "dropped after the first rung";
  EXPECT_FALSE(fs::exists(task_.at("a") / "candidate_000" / "rung_1" / "scorecard.json"))
      << "the test pictures are not looked at";
}

TEST_F(SearchTest, InterruptedAnywhereAndResumedIsTheSame) {
  const SearchSummary whole = search(options("whole"), {});
  SearchOptions broken = options("broken");
  int64_t polls = 0, interruptions = 0;
  SearchWatcher watcher;
  watcher.stop = [&] { return ++polls % 31 == 0; };  // of 24 epochs of 6 steps
  SearchSummary summary = search(broken, watcher);
  for (; summary.interrupted && interruptions < 20; ++interruptions) {
    broken.config.resume = true;
    summary = search(broken, watcher);
  }
  ASSERT_FALSE(summary.interrupted);
  EXPECT_GE(interruptions, 4);
  expect_same(whole.plan, summary.plan);
  for (const char* run : {"candidate_000/rung_1", "candidate_003/rung_1"}) {
    EXPECT_EQ(task_.last(std::string("whole/") + run), task_.last(std::string("broken/") + run));
  }
  // Once more: nothing is left to run.
  watcher.run = [](const SearchProgress&) { ADD_FAILURE() << "a finished run was run again"; };
  expect_same(whole.plan, search(broken, watcher).plan);
  broken.halving.budget = 30;
  EXPECT_THROW(search(broken, {}), Error) << "another search";
}

TEST_F(SearchTest, SeveralSeedsCountByTheirMeanAndInTheBudget) {
  SearchOptions o = options("a");
  o.config.seeds = 2;
  o.config.dev_split = 0.25;
  o.halving = {.budget = 13, .candidates = 2, .eta = 2};
  const SearchSummary summary = search(o, {});
  EXPECT_EQ(summary.plan.epochs(), 12);
  for (const Candidate& candidate : summary.plan.candidates) {
    ASSERT_EQ(candidate.runs.size(), 1u);
    double mean = 0;
    for (const char* seed : {"seed_0", "seed_1"}) {
      const fs::path folder =
          task_.at("a") / ("candidate_00" + std::to_string(candidate.number)) / "rung_1" / seed;
      mean += read_json(folder / "run.json").at("best_top1").get<double>() / 2;
    }
    EXPECT_DOUBLE_EQ(candidate.runs[0].top1, mean);
  }
}

TEST_F(SearchTest, SurvivesWhatDiverges) {
  SearchOptions o = options("a");
  o.config.lr = 0.1;
  o.config.search = {{"lr", {1000}}, {"weight-decay", {10}}};
  o.halving = {.budget = 12, .candidates = 2, .eta = 2};
  const SearchSummary summary = search(o, {});
  ASSERT_EQ(summary.plan.candidates.size(), 2u);
  EXPECT_EQ(summary.plan.candidates[0].number, 0);
  const SearchRun& lost = summary.plan.candidates[1].runs.back();
  EXPECT_NE(lost.diverged.find("lower --lr"), std::string::npos) << lost.diverged;
  o.config.resume = true;
  expect_same(summary.plan, search(o, {}).plan);
  // Where all do, there is nothing to recommend.
  o = options("b");
  o.config.lr = 1000;
  o.config.weight_decay = 10;
  o.config.search = {{"lr", {900}}};
  o.halving = {.budget = 12, .candidates = 2, .eta = 2};
  EXPECT_THROW(search(o, {}), Error);
}

TEST_F(SearchTest, TheProgramPrintsATableAndARecipeThatRuns) {
  write_recipe_file(R"({"lr": [1e-7, 1e-5, 0.1]})");
  const Finished plan = test::run("kdengine", searching("a", {"--dry-run"}));
  EXPECT_EQ(plan.code, 0) << plan.text;
  EXPECT_NE(plan.text.find("rung 2: 2 candidates, 6 epochs each"), std::string::npos) << plan.text;
  EXPECT_NE(plan.text.find("10 % of the training pictures"), std::string::npos) << plan.text;
  EXPECT_FALSE(fs::exists(task_.at("a")));
  const Finished done =
      test::run("kdengine", searching("a", {"--flip", "0.5", "--dev-split", "0.25"}));
  ASSERT_EQ(done.code, 0) << done.text;
  for (const char* part :
       {"run 6/6", "rank", "dev top-1", "3 + 6", "best: lr 0.1", "best_recipe.json"}) {
    EXPECT_NE(done.text.find(part), std::string::npos) << part << "\n" << done.text;
  }
  const std::string best = task_.at("a") / "best_recipe.json";
  const Finished run = test::run("kdengine", {"--recipe", best});
  EXPECT_EQ(run.code, 0) << run.text;
  const Json config = read_json(task_.at("a") / "best" / "run.json").at("config");
  EXPECT_EQ(config.at("lr"), 0.1);
  EXPECT_EQ(config.at("dev-split"), 0.25);
  EXPECT_EQ(config.at("flip"), 0.5) << "flags win over the recipe";
  EXPECT_EQ(config.at("epochs"), 6) << "the recipe's own length";
}

TEST_F(SearchTest, TheProgramRefusesByName) {
  const auto says = [&](const Words& words, int code, const std::string& part) {
    const Finished finished = test::run("kdengine", words);
    EXPECT_EQ(finished.code, code) << finished.text;
    EXPECT_NE(finished.text.find(part), std::string::npos) << finished.text;
    EXPECT_FALSE(fs::exists(task_.at("x")));
  };
  write_recipe_file(R"({"lrr": [1]})");
  says(searching("x"), 1, "did you mean 'lr'?");
  write_recipe_file(R"({"lr": [0.1]})");
  says(searching("x", {}, "7"), 1, "need 8 or more");
  says({"search", task_.at("recipe.json"), "--output", task_.at("x")}, 1, "--budget");
  says(searching("x", {"--data", "/nowhere"}), 2, "/nowhere");
  says(searching("x", {"--resume"}), 2, "no search to resume");
  says({"search", "/nowhere.json", "--budget", "9"}, 2, "/nowhere.json");
}

TEST_F(SearchTest, AnInterruptedProgramKeepsEverything) {
  write_recipe_file(R"({"lr": [1e-7, 1e-5, 0.1]})");
  const Words begin = searching("a", {"--epochs", "400"}, "1600");
  test::Process process("kdengine", begin);
  for (int i = 0;
       i < 2000 && !fs::exists(task_.at("a") / "candidate_000" / "rung_1" / "metrics.jsonl"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  process.signal(SIGINT);
  const Finished cut = process.wait();
  EXPECT_EQ(cut.code, 130) << cut.text;
  EXPECT_NE(cut.text.find("continue with --resume"), std::string::npos) << cut.text;
  const Finished again = test::run("kdengine", begin);
  EXPECT_EQ(again.code, 1);
  EXPECT_NE(again.text.find("already holds a search"), std::string::npos) << again.text;
}

}  // namespace
}  // namespace kd
