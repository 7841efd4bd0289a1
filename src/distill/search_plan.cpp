#include "distill/search_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "distill/search_space.h"
#include "kd/error.h"

namespace kd {
namespace {

double draw(const SearchDimension& d, RandomSequence& random) {
  if (!d.choices.empty()) return d.choices[random.below(static_cast<uint32_t>(d.choices.size()))];
  const double value = d.scale == SearchDimension::Scale::log
                           ? std::exp(random.uniform(std::log(d.from), std::log(d.to)))
                           : random.uniform(d.from, d.to);
  return std::clamp(std::stod(fmt::format("{:.3g}", value)), d.from, d.to);
}

std::vector<Candidate> draw_candidates(const SearchOptions& options,
                                       const std::vector<SearchDimension>& space) {
  RunConfig copy = options.config;
  spell_out_terms(copy);
  std::vector<bool> whole;
  for (const SearchDimension& d : space) {
    const std::vector<Knob> all = knobs(copy);
    whole.push_back(std::ranges::find(all, d.name, &Knob::name)->whole());
  }
  std::vector<Candidate> candidates{{0, values_of(options.config, space), {}}};
  const auto wanted = static_cast<size_t>(options.halving.candidates);
  const auto seed = static_cast<uint64_t>(options.config.seed);
  // Lists may hold few combinations; then most draws have been met before.
  for (uint32_t n = 1; candidates.size() < wanted && n <= 100 * wanted; ++n) {
    const std::vector<double> drawn = draw_values(space, seed, n);
    std::vector<std::optional<double>> values(drawn.begin(), drawn.end());
    for (size_t i = 0; i < values.size(); ++i) {
      if (whole[i]) values[i] = std::round(drawn[i]);
    }
    if (std::ranges::find(candidates, values, &Candidate::values) != candidates.end()) continue;
    candidates.push_back({static_cast<int64_t>(candidates.size()), std::move(values), {}});
  }
  return candidates;
}

// Epochs of each stage, `total` in all: shares of the recipe's, by largest remainder.
std::vector<int64_t> split_epochs(const std::vector<StageConfig>& stages, int64_t total) {
  double sum = 0;
  for (const StageConfig& stage : stages) sum += static_cast<double>(stage.epochs);
  std::vector<int64_t> epochs;
  std::vector<double> owed;
  for (const StageConfig& stage : stages) {
    const double share = static_cast<double>(total * stage.epochs) / sum;
    epochs.push_back(std::max<int64_t>(1, static_cast<int64_t>(share)));
    owed.push_back(share - static_cast<double>(epochs.back()));
  }
  const auto change = [&](size_t at, int64_t by) {
    epochs[at] += by;
    owed[at] -= static_cast<double>(by);
  };
  while (std::accumulate(epochs.begin(), epochs.end(), int64_t{0}) < total) {
    change(static_cast<size_t>(std::ranges::max_element(owed) - owed.begin()), 1);
  }
  while (std::accumulate(epochs.begin(), epochs.end(), int64_t{0}) > total) {
    size_t most = 0;
    for (size_t i = 0; i < epochs.size(); ++i) {
      if (epochs[most] == 1 || (epochs[i] > 1 && owed[i] < owed[most])) most = i;
    }
    change(most, -1);
  }
  return epochs;
}

void shorten_stage(StageConfig& stage, int64_t epochs) {
  const double ratio = static_cast<double>(epochs) / static_cast<double>(stage.epochs);
  stage.epochs = epochs;
  stage.warmup_epochs *= ratio;
  stage.step_epochs *= ratio;
  for (double& epoch : stage.milestones) epoch *= ratio;
  for (double& epoch : stage.teacher_join) epoch *= ratio;
  for (TermSpec& spec : stage.terms) {
    spec.schedule.begin *= ratio;
    spec.schedule.end *= ratio;
  }
}

}  // namespace

std::vector<double> draw_values(const std::vector<SearchDimension>& space, uint64_t seed,
                                uint32_t number) {
  std::vector<double> values;
  for (size_t i = 0; i < space.size(); ++i) {
    RandomSequence random(seed, Purpose::search, number, i);
    values.push_back(draw(space[i], random));
  }
  return values;
}

std::vector<Rung> plan_rungs(const HalvingOptions& options, int64_t shortest, int64_t longest) {
  if (options.candidates < 1 || options.eta < 2) {
    fail(ErrorCode::usage, "{} candidates with eta {}: expected 1 or more, with eta 2 or more",
         options.candidates, options.eta);
  }
  std::vector<int64_t> counts{options.candidates};
  while (counts.back() / options.eta > 1) counts.push_back(counts.back() / options.eta);
  const int64_t share = options.budget / static_cast<int64_t>(counts.size());
  if (share / counts.front() < shortest) {
    fail(ErrorCode::usage,
         "--budget is {} epochs, {} candidates on {} rungs need {} or more: raise it, or lower "
         "--candidates",
         options.budget, counts.front(), counts.size(),
         shortest * counts.front() * static_cast<int64_t>(counts.size()));
  }
  std::vector<Rung> rungs;
  for (const int64_t count : counts) {
    const int64_t epochs = std::min(share / count, longest);
    // One that is no longer than the one before would be the same runs again.
    if (rungs.empty() || epochs > rungs.back().epochs) rungs.push_back({count, epochs});
  }
  return rungs;
}

int64_t SearchPlan::epochs() const {
  int64_t sum = 0;
  for (const Rung& rung : rungs) sum += rung.candidates * rung.epochs;
  return sum * seeds;
}

int64_t total_epochs(const RunConfig& config) {
  int64_t sum = 0;
  for (int64_t i = 0; i < stage_count(config); ++i) sum += at_stage(config, i).epochs;
  return sum;
}

RunConfig shortened(const RunConfig& config, int64_t epochs) {
  RunConfig result = config;
  if (config.stages.empty()) {
    shorten_stage(result, epochs);
    return result;
  }
  const std::vector<int64_t> each = split_epochs(config.stages, epochs);
  for (size_t i = 0; i < each.size(); ++i) shorten_stage(result.stages[i], each[i]);
  return result;
}

bool ranks_before(const Candidate& a, const Candidate& b) {
  if (a.runs.empty() || b.runs.empty()) return a.runs.size() > b.runs.size();
  const SearchRun &x = a.runs.back(), &y = b.runs.back();
  if (x.diverged.empty() != y.diverged.empty()) return x.diverged.empty();
  if (x.rung != y.rung) return x.rung > y.rung;
  if (x.top1 != y.top1) return x.top1 > y.top1;
  if (x.loss != y.loss) return x.loss < y.loss;
  return a.number < b.number;
}

SearchPlan plan_search(const SearchOptions& options) {
  const RunConfig& config = options.config;
  check_config(config);
  SearchPlan plan;
  plan.space = config.search.empty() ? default_search_space(config) : config.search;
  check_space(plan.space, config);
  plan.seeds = config.seeds;
  HalvingOptions halving = options.halving;
  halving.budget /= plan.seeds;
  plan_rungs(halving, stage_count(config), total_epochs(config));  // what it refuses
  plan.candidates = draw_candidates(options, plan.space);
  halving.candidates = static_cast<int64_t>(plan.candidates.size());
  plan.rungs = plan_rungs(halving, stage_count(config), total_epochs(config));
  for (const Candidate& candidate : plan.candidates) {
    check_config(
        shortened(with_values(config, plan.space, candidate.values), plan.rungs.front().epochs));
  }
  return plan;
}

}  // namespace kd
