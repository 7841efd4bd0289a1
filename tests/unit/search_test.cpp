// The parts of a search: what is drawn, how the budget is spent, who is kept, which names there
// are.
#include "kd/search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/file.h"
#include "distill/recipe.h"
#include "distill/search_plan.h"
#include "distill/search_space.h"
#include "kd/error.h"
#include "support/support.h"

namespace kd {
namespace {

using Scale = SearchDimension::Scale;

std::string message(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}
#define EXPECT_SAYS(body, part)                            \
  do {                                                     \
    const std::string said = message([&] { body; });       \
    EXPECT_NE(said.find(part), std::string::npos) << said; \
  } while (false)

RunConfig taught() {
  RunConfig c;
  c.student = "student.json";
  c.data = "data";
  c.output = "search";
  c.teacher = {"teacher.bin"};
  c.epochs = 60;
  return c;
}

RunConfig staged() {
  RunConfig c = taught();
  StageConfig first = c, second = c;
  first.name = "features";
  first.epochs = 20;
  first.terms = {{"hint"}};
  second.name = "answers";
  second.epochs = 40;
  second.lr = 0.05;
  second.terms = {{"ce"}, {"kl", 2, {{"temperature", 3}}, {0, 10, 0, 1}}};
  c.stages = {first, second};
  return c;
}

TEST(SearchDrawTest, IsAPureFunctionOfSeedAndNumber) {
  const std::vector<SearchDimension> space{{"lr", {}, 0.01, 0.3, Scale::log},
                                           {"momentum", {0.8, 0.9, 0.95}}};
  EXPECT_EQ(draw_values(space, 7, 3), draw_values(space, 7, 3));
  EXPECT_NE(draw_values(space, 7, 3), draw_values(space, 7, 4));
  EXPECT_NE(draw_values(space, 7, 3), draw_values(space, 8, 3));
  SearchOptions options{taught(), {.budget = 600, .candidates = 8}};
  options.config.search = space;
  const SearchPlan few = plan_search(options);
  options.halving = {.budget = 2000, .candidates = 16};
  const SearchPlan more = plan_search(options);
  ASSERT_EQ(few.candidates.size(), 8u);
  for (size_t i = 0; i < few.candidates.size(); ++i) {
    EXPECT_EQ(few.candidates[i].values, more.candidates[i].values) << "more keep the first ones";
  }
  EXPECT_EQ(few.candidates[0].values[0], 0.1) << "the recipe as it stands";
  EXPECT_EQ(few.candidates[0].values[1], 0.9);
}

TEST(SearchDrawTest, ALogScaleHasAsManyInEachDecade) {
  const std::vector<SearchDimension> space{{"lr", {}, 1e-3, 10, Scale::log},
                                           {"rise", {}, 0.25, 0.75}};
  std::array<int, 4> decades{};
  double sum = 0;
  const int n = 4000;
  for (uint32_t i = 0; i < n; ++i) {
    const std::vector<double> values = draw_values(space, 1, i);
    ASSERT_GE(values[0], 1e-3);
    ASSERT_LE(values[0], 10);
    ASSERT_GE(values[1], 0.25);
    ASSERT_LE(values[1], 0.75);
    ++decades[std::min<size_t>(3, static_cast<size_t>(std::floor(std::log10(values[0]) + 3)))];
    sum += values[1];
    const double digits = values[0] * std::pow(10, 2 - std::floor(std::log10(values[0])));
    ASSERT_NEAR(digits, std::round(digits), 1e-6) << "three digits: " << values[0];
  }
  for (const int count : decades) EXPECT_NEAR(count, n / 4.0, 5 * std::sqrt(n / 4.0));
  EXPECT_NEAR(sum / n, 0.5, 0.01);
}

TEST(SearchDrawTest, AListIsTriedAsItIsAndEachCombinationOnce) {
  SearchOptions options{taught(), {.budget = 1000, .candidates = 16}};
  options.config.search = {{"temperature", {1, 2, 8}}, {"batch-size", {32, 64}}};
  const SearchPlan plan = plan_search(options);
  EXPECT_EQ(plan.candidates.size(), 7u) << "six combinations, none of them the recipe's";
  for (size_t i = 1; i < plan.candidates.size(); ++i) {
    const double t = *plan.candidates[i].values[0], batch = *plan.candidates[i].values[1];
    EXPECT_TRUE(t == 1 || t == 2 || t == 8) << t;
    EXPECT_TRUE(batch == 32 || batch == 64) << batch;
    for (size_t j = 0; j < i; ++j) {
      EXPECT_NE(plan.candidates[i].values, plan.candidates[j].values);
    }
  }
}

TEST(SearchRungsTest, NeverExceedTheBudgetAndGetLonger) {
  for (const int64_t candidates : {1, 2, 3, 5, 16, 27, 100}) {
    for (const int64_t eta : {2, 3, 4}) {
      for (const int64_t budget : {800, 997, 5000}) {
        const std::vector<Rung> rungs =
            plan_rungs({.budget = budget, .candidates = candidates, .eta = eta}, 1, 90);
        int64_t spent = 0;
        for (size_t i = 0; i < rungs.size(); ++i) {
          spent += rungs[i].candidates * rungs[i].epochs;
          EXPECT_LE(rungs[i].epochs, 90);
          if (i > 0) {
            EXPECT_EQ(rungs[i].candidates, rungs[i - 1].candidates / eta);
            EXPECT_GT(rungs[i].epochs, rungs[i - 1].epochs);
          }
        }
        EXPECT_EQ(rungs.front().candidates, candidates);
        EXPECT_LE(spent, budget);
      }
    }
  }
}

TEST(SearchRungsTest, ByHand) {
  const std::vector<Rung> rungs = plan_rungs({.budget = 100, .candidates = 16, .eta = 3}, 1, 1000);
  ASSERT_EQ(rungs.size(), 2u);    // 16, 5; the one that is left needs no run of its own
  EXPECT_EQ(rungs[0].epochs, 3);  // 50 / 16
  EXPECT_EQ(rungs[1].candidates, 5);
  EXPECT_EQ(rungs[1].epochs, 10);  // 50 / 5
  EXPECT_SAYS(plan_rungs({.budget = 31, .candidates = 16}, 1, 9), "need 32 or more");
  EXPECT_SAYS(plan_rungs({.budget = 95, .candidates = 16}, 3, 9), "need 96 or more");
  EXPECT_SAYS(plan_rungs({.budget = 95, .candidates = 0}, 1, 9), "0 candidates");
  EXPECT_SAYS(plan_rungs({.budget = 95, .eta = 1}, 1, 9), "eta 1");
}

TEST(SearchRungsTest, AShortRunIsTheWholeOneInProportion) {
  RunConfig c = staged();
  c.stages[1].warmup_epochs = 5;
  c.stages[1].step_epochs = 20;
  c.stages[1].teacher_join = {8};
  const RunConfig s = shortened(c, 6);
  EXPECT_EQ(s.stages[0].epochs, 2);
  EXPECT_EQ(s.stages[1].epochs, 4);
  EXPECT_DOUBLE_EQ(s.stages[1].warmup_epochs, 0.5);
  EXPECT_DOUBLE_EQ(s.stages[1].step_epochs, 2);
  EXPECT_DOUBLE_EQ(s.stages[1].teacher_join[0], 0.8);
  EXPECT_DOUBLE_EQ(s.stages[1].terms[1].schedule.end, 1);
  for (int64_t epochs = 2; epochs <= 60; ++epochs) {
    const RunConfig any = shortened(c, epochs);
    EXPECT_EQ(total_epochs(any), epochs);
    EXPECT_GE(any.stages[0].epochs, 1);
  }
  EXPECT_EQ(shortened(taught(), 7).epochs, 7);
}

TEST(SearchRankTest, TopOneThenLossThenNumberAndDivergedLast) {
  const auto ran = [](int64_t number, int64_t rung, double top1, double loss,
                      const char* why = "") {
    return Candidate{number, {}, {{number, rung, 1, top1, loss, 0, why}}};
  };
  const double never = std::numeric_limits<double>::infinity();
  std::vector<Candidate> all{ran(0, 0, 70, 1), ran(1, 1, 0, 0, "the loss is nan"),
                             ran(2, 0, 90, 1), ran(3, 1, 80, 2),
                             ran(4, 1, 80, 1), ran(5, 0, 70, never),
                             ran(6, 0, 70, 1)};
  std::ranges::sort(all, ranks_before);
  std::vector<int64_t> order;
  for (const Candidate& candidate : all) order.push_back(candidate.number);
  EXPECT_EQ(order, (std::vector<int64_t>{4, 3, 2, 0, 6, 5, 1}));
}

TEST(SearchSpaceTest, SetsWhatItNames) {
  const RunConfig c = staged();
  const std::vector<SearchDimension> space{{"lr", {1}},
                                           {"stages.1.momentum", {1}},
                                           {"terms.kl.temperature", {1}},
                                           {"stages.0.terms.hint.weight", {1}},
                                           {"batch-size", {1}}};
  const std::vector<std::optional<double>> before = values_of(c, space);
  EXPECT_FALSE(before[0]) << "stages differ";
  EXPECT_EQ(before[2], 3);
  EXPECT_EQ(before[3], 1);
  const RunConfig v = with_values(c, space, {0.2, 0.5, 7, 10, 16});
  EXPECT_EQ(v.stages[0].lr, 0.2);
  EXPECT_EQ(v.stages[1].lr, 0.2);
  EXPECT_EQ(v.stages[0].momentum, 0.9);
  EXPECT_EQ(v.stages[1].momentum, 0.5);
  EXPECT_EQ(v.stages[1].terms[1].params.at("temperature"), 7);
  EXPECT_EQ(v.stages[1].terms[1].weight, 2);
  EXPECT_EQ(v.stages[0].terms[0].weight, 10);
  EXPECT_EQ(v.batch_size, 16);
  // Settings that terms are made of come first, whatever the order.
  const RunConfig made =
      with_values(taught(), {{"terms.kl.weight", {1}}, {"temperature", {1}}}, {5, 2});
  const std::vector<TermSpec> terms = loss_terms(made);
  ASSERT_EQ(terms.size(), 2u);
  EXPECT_NEAR(terms[0].weight, 0.1, 1e-12);
  EXPECT_EQ(terms[1].weight, 5);
  EXPECT_EQ(terms[1].params.at("temperature"), 2);
}

TEST(SearchSpaceTest, IsStrict) {
  const auto check = [](const RunConfig& c, SearchDimension d) { check_space({std::move(d)}, c); };
  EXPECT_SAYS(check(taught(), {"lrr", {1}}), "did you mean 'lr'?");
  EXPECT_SAYS(check(taught(), {"terms.kl.temperatur", {1}}),
              "did you mean 'terms.kl.temperature'?");
  EXPECT_SAYS(check(staged(), {"stages.2.lr", {1}}), "did you mean 'stages.");
  EXPECT_SAYS(check(taught(), {"sched", {1}}), "can't be searched");
  EXPECT_SAYS(check(taught(), {"epochs", {1}}), "can't be searched");
  EXPECT_SAYS(check(taught(), {"lr", {0.1, -1}}), "tried from -1 to 0.1, expected 0 to 1000");
  EXPECT_SAYS(check(taught(), {"terms.kl.temperature", {}, 0, 4}), "expected 0.001 to 1000");
  EXPECT_SAYS(check(taught(), {"batch-size", {32.5}}), "whole numbers");
  EXPECT_SAYS(check(staged(), {"temperature", {1, 4}}), "changes no term");
  EXPECT_SAYS(check(taught(), {"temperature", {1, 4}}), "no error");
  const auto read = [](const char* text) { read_search_space(parse_json(text, "x"), "x"); };
  EXPECT_SAYS(read(R"([1])"), "expected an object");
  EXPECT_SAYS(read(R"({"lr": []})"), "x: search: lr is [], expected a list");
  EXPECT_SAYS(read(R"({"lr": 0.1})"), "expected a list");
  EXPECT_SAYS(read(R"({"lr": ["a"]})"), "expected a number");
  EXPECT_SAYS(read(R"({"lr": {"from": 1}})"), "'to' is missing");
  EXPECT_SAYS(read(R"({"lr": {"from": 1, "to": 1}})"), "no range");
  EXPECT_SAYS(read(R"({"lr": {"from": 0, "to": 1, "scale": "log"}})"), "more than 0");
  EXPECT_SAYS(read(R"({"lr": {"from": 0, "to": 1, "scale": "lgo"}})"), "did you mean 'log'?");
  EXPECT_SAYS(read(R"({"lr": {"form": 0, "to": 1}})"), "did you mean 'from'?");
}

TEST(SearchSpaceTest, DefaultsAreTemperatureWeightsAndLearningRate) {
  const std::vector<SearchDimension> plain = default_search_space(taught());
  ASSERT_EQ(plain.size(), 3u);
  EXPECT_EQ(plain[0].name, "lr");
  EXPECT_EQ(plain[1].name, "terms.kl.temperature");
  EXPECT_EQ(plain[2].name, "terms.kl.weight");
  EXPECT_DOUBLE_EQ(plain[0].from, 0.01);
  EXPECT_DOUBLE_EQ(plain[2].to, 9);
  const std::vector<SearchDimension> stages = default_search_space(staged());
  ASSERT_EQ(stages.size(), 4u) << "the weight of a term that is alone is a learning rate";
  EXPECT_EQ(stages[0].name, "stages.0.lr");
  EXPECT_EQ(stages[3].name, "stages.1.terms.kl.weight");
  check_space(plain, taught());
  check_space(stages, staged());
}

TEST(SearchRecipeTest, ReadsBackAsWhatItWasWrittenFrom) {
  const test::TemporaryFolder folder;
  RunConfig lossy = taught();
  lossy.loss = "ce=0.5,kl=0.5";
  for (const RunConfig& c : {taught(), staged(), lossy}) {
    const std::filesystem::path file = folder.path() / "recipe.json";
    write_file(file, write_recipe(c).dump());
    RunConfig back;
    read_config(file, back);
    EXPECT_EQ(config_to_json(back), config_to_json(c));
  }
  write_file(folder.path() / "s.json", R"({"search": {"lr": {"from": 0.1, "to": 1}}})");
  RunConfig c;
  read_config(folder.path() / "s.json", c);
  ASSERT_EQ(c.search.size(), 1u);
  EXPECT_EQ(write_search_space(c.search).dump(),
            R"({"lr":{"from":0.1,"to":1.0,"scale":"linear"}})");
}

}  // namespace
}  // namespace kd
