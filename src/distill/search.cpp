#include "kd/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>

#include "core/file.h"
#include "distill/recipe.h"
#include "distill/run_folder.h"
#include "distill/search_plan.h"
#include "distill/search_space.h"
#include "distill/search_state.h"

namespace kd {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

class Search {
 public:
  Search(const SearchOptions& options, const SearchWatcher& watcher)
      : config_(options.config),
        watcher_(watcher),
        plan_(plan_search(options)),
        state_(options.config.output, options, plan_) {
    config_.resume = config_.dry_run = false;
    for (const Rung& rung : plan_.rungs) runs_ += rung.candidates;
  }
  SearchSummary go();

 private:
  bool one_rung(int64_t rung);                                     // false: interrupted
  const SearchRun* run(const Candidate& candidate, int64_t rung);  // null: interrupted
  bool every_seed(const RunConfig& config, SearchRun& result);
  RunConfig config_of(const Candidate& candidate, int64_t epochs) const;
  void report(const SearchRun& run) const;
  std::string write_best() const;

  RunConfig config_;
  SearchWatcher watcher_;
  SearchPlan plan_;
  SearchState state_;
  int64_t runs_ = 0, done_ = 0;
  bool silent_ = false;  // what runs say once is said by the first of them
};

RunConfig Search::config_of(const Candidate& candidate, int64_t epochs) const {
  RunConfig config = shortened(with_values(config_, plan_.space, candidate.values), epochs);
  config.search.clear();
  config.seeds = 1;
  config.baseline = config.scorecard = false;
  return config;
}

// The loss at an epoch, as the run's folder tells; infinite where it is not finite.
double loss_at(const fs::path& folder, int64_t epoch) {
  std::ifstream file(folder / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    const Json json = parse_json(line, "metrics.jsonl");
    const bool is_it = json.at("epoch").get<int64_t>() == epoch && json.contains("val_loss");
    if (is_it && json["val_loss"].is_number()) return json["val_loss"].get<double>();
  }
  return std::numeric_limits<double>::infinity();
}

const SearchRun* Search::run(const Candidate& candidate, int64_t rung) {
  if (const SearchRun* known = state_.find(candidate.number, rung)) return known;
  const int64_t epochs = plan_.rungs[static_cast<size_t>(rung)].epochs;
  RunConfig config = config_of(candidate, epochs);
  config.output = state_.folder_of(candidate.number, rung).string();
  SearchRun result{candidate.number, rung, epochs};
  const auto start = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  try {
    if (!every_seed(config, result)) {
      state_.interrupt(seconds());
      return nullptr;
    }
  } catch (const Diverged& error) {
    result.diverged = error.what();
  }
  result.seconds = seconds();
  state_.finish(std::move(result));
  report(*state_.find(candidate.number, rung));
  return state_.find(candidate.number, rung);
}

// Adds the means to `result`; false: interrupted. Seeds that are finished are merely read again.
bool Search::every_seed(const RunConfig& config, SearchRun& result) {
  Watcher watcher;
  watcher.stop = watcher_.stop;
  for (int64_t i = 0; i < plan_.seeds; ++i) {
    RunConfig one = config;
    one.seed += i;
    if (plan_.seeds > 1) one.output = (fs::path(config.output) / format("seed_{}", i)).string();
    one.resume = RunFolder::holds_run(one.output);
    if (!silent_) watcher.note = watcher_.note;
    const RunSummary summary = train(one, watcher);
    silent_ = true;
    watcher.note = nullptr;
    if (summary.interrupted) return false;
    KD_CHECK(summary.best_epoch > 0,
             "there are no pictures to choose by: set some aside with --dev-split");
    const double share = 1 / static_cast<double>(plan_.seeds);
    result.top1 += share * summary.best_top1;
    result.loss += share * loss_at(one.output, summary.best_epoch);
  }
  return true;
}

// Time left: by the seconds an epoch took so far.
void Search::report(const SearchRun& run) const {
  if (!watcher_.run) return;
  double seconds = run.seconds;
  int64_t epochs = run.epochs;
  for (const Candidate& candidate : plan_.candidates) {
    for (const SearchRun& other : candidate.runs) {
      seconds += other.seconds;
      epochs += other.epochs;
    }
  }
  const auto left =
      static_cast<double>(std::max<int64_t>(0, plan_.epochs() / plan_.seeds - epochs));
  watcher_.run({run, done_ + 1, runs_, left * seconds / static_cast<double>(epochs)});
}

bool Search::one_rung(int64_t rung) {
  const auto count = static_cast<size_t>(plan_.rungs[static_cast<size_t>(rung)].candidates);
  for (size_t i = 0; i < count; ++i) {
    Candidate& candidate = plan_.candidates[i];
    const bool lost = !candidate.runs.empty() && !candidate.runs.back().diverged.empty();
    if (lost) break;  // so are all after it
    const SearchRun* finished = run(candidate, rung);
    if (finished == nullptr) return false;
    candidate.runs.push_back(*finished);
    ++done_;
  }
  std::ranges::sort(plan_.candidates, ranks_before);
  return true;
}

// The recipe at its own length, with the best values.
std::string Search::write_best() const {
  const Candidate& best = plan_.candidates.front();
  RunConfig config = with_values(config_, plan_.space, best.values);
  config.output = state_.file("best").string();
  Json json = {
      {"about", fmt::format("candidate {} of the search in {}", best.number, config_.output)}};
  json.update(write_recipe(config));
  const fs::path file = state_.file("best_recipe.json");
  write_file(file, json.dump(2) + "\n");
  return file.string();
}

SearchSummary Search::go() {
  SearchSummary summary;
  for (size_t rung = 0; rung < plan_.rungs.size() && !summary.interrupted; ++rung) {
    summary.interrupted = !one_rung(static_cast<int64_t>(rung));
  }
  summary.plan = plan_;
  if (summary.interrupted) return summary;
  const SearchRun& best = plan_.candidates.front().runs.back();
  KD_CHECK(best.diverged.empty(), "no candidate stayed finite; candidate {}: {}", best.candidate,
           best.diverged);
  summary.best_recipe = write_best();
  return summary;
}

}  // namespace

SearchSummary search(const SearchOptions& options, const SearchWatcher& watcher) {
  return Search(options, watcher).go();
}

}  // namespace kd
