// Numbers of a group of runs: mean and standard deviation over its seeds.
#pragma once

#include <string>

#include "report/run_record.h"

namespace kd {

struct Spread {
  int64_t count = 0;
  double mean = 0, sd = 0;  // sd: with n-1; 0 of one value
};
// Nothing where no run has the value.
std::optional<Spread> spread(const std::vector<std::optional<double>>& values);

struct Summary {
  std::optional<Spread> top1, top5, teacher_top1, baseline_top1;
  std::optional<Spread> gain;        // each run's top-1 minus that of its own baseline
  std::optional<double> gap_closed;  // of the means, over the runs that have a baseline
  std::optional<Spread> agreement, kl, ece, ece_fitted, nll, nll_fitted, brier, brier_fitted;
  ModelCost cost, teacher_cost;  // of the first run
};
Summary summarise(const RunGroup& group);

enum class Tone { good, note, warning, bad };
struct Finding {
  Tone tone = Tone::note;
  std::string text;
};
// The first is the verdict: what distillation was worth. The others say what to mistrust, and what
// to try.
std::vector<Finding> findings(const RunGroup& group);

}  // namespace kd
