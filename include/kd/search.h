// Hyper-parameter search by successive halving (Jamieson and Talwalkar, AISTATS 2016): many
// candidates are trained for a short time, the best 1/eta of them for eta times as long, and so on.
//
// A rung is a fresh run of its own length, since schedules such as one-cycle depend on the whole
// length; the budget counts every epoch of every run. Folder: README.md of src/distill.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kd/config.h"
#include "kd/search_space.h"

namespace kd {

// Equal shares of the budget to each rung; every rung keeps 1/eta of the candidates.
struct HalvingOptions {
  int64_t budget = 0;  // epochs, over all runs (of all seeds)
  int64_t candidates = 16, eta = 3;
};
struct Rung {
  int64_t candidates = 0, epochs = 0;
};
// Epochs are whole, `shortest` to `longest` (the recipe's own length); what that leaves of the
// budget is not spent. Throws Error{usage} where the budget is too small for the first rung.
std::vector<Rung> plan_rungs(const HalvingOptions& options, int64_t shortest, int64_t longest);

struct SearchOptions {
  RunConfig config;  // candidate 0 as it stands; `search`: what is varied; `output`: the folder
  HalvingOptions halving;
};

// One run: a candidate at the length of a rung.
struct SearchRun {
  int64_t candidate = 0, rung = 0, epochs = 0;  // rung: from 0
  double top1 = 0, loss = 0;  // at the epoch with the best top-1, percent; means over seeds
  double seconds = 0;
  std::string diverged = {};  // why the loss stopped being finite; empty: it did not
};
struct Candidate {
  int64_t number = 0;
  std::vector<std::optional<double>> values;  // by dimension; none: stages differ (candidate 0)
  std::vector<SearchRun> runs;                // by rung
};

struct SearchPlan {
  std::vector<SearchDimension> space;  // of the recipe, or default_search_space()
  std::vector<Candidate> candidates;
  std::vector<Rung> rungs;
  int64_t seeds = 1;       // runs of each candidate on each rung
  int64_t epochs() const;  // of all runs
};
// Checks everything that needs no data: names (an unknown one is told the nearest valid one),
// ranges, and each candidate's configuration. Throws Error{usage}. Candidates are a pure function
// of (seed, space, their number); fewer than asked for where lists hold no more combinations.
SearchPlan plan_search(const SearchOptions& options);

// Where a recipe says nothing: the learning rate from 1/10 to 3 times its own, T of kl from 1 to
// 16, and the weights of terms other than ce from 1/10 to 10 times their own.
std::vector<SearchDimension> default_search_space(const RunConfig& config);

struct SearchProgress {
  SearchRun run;  // which has just finished
  int64_t done = 0, runs = 0;
  double seconds_left = 0;
};
struct SearchWatcher {  // every function may be empty
  std::function<void(const std::string&)> note;
  std::function<void(const SearchProgress&)> run;
  std::function<bool()> stop;  // true: write a checkpoint and return
};

struct SearchSummary {
  bool interrupted = false;
  SearchPlan plan;  // its candidates ranked, the best first
  std::string best_recipe;
};
// Ranks by how far a candidate came, then top-1, then lower loss; diverged ones come last. Measures
// the dev split where there is one, else validation; with `config.seeds`, the mean over them.
// `config.resume` continues a search: finished runs are taken from search.json, an interrupted one
// from its checkpoint.
SearchSummary search(const SearchOptions& options, const SearchWatcher& watcher);

}  // namespace kd
