#include "distill/step_schedule.h"

#include "distill/module_replacement.h"
#include "distill/schedule.h"

namespace kd {

StepSchedule::StepSchedule(std::vector<float> rates) : rates_(std::move(rates)) {}

StepSchedule::StepSchedule(const RunConfig& stage, int64_t steps_per_epoch)
    : stage_(stage), steps_per_epoch_(steps_per_epoch) {
  for (int64_t step = 0; step < steps_per_epoch * stage.epochs; ++step) {
    rates_.push_back(static_cast<float>(learning_rate(stage, step, steps_per_epoch)));
  }
}

void StepSchedule::put_modules(int64_t step, std::span<float> row) const {
  if (!replaces_modules(stage_)) return;
  const double probability = replacement_probability(stage_, step, steps());
  for (size_t i = 0; i < row.size(); ++i) {
    const bool replaced =
        is_replaced(static_cast<uint64_t>(stage_.seed), step, static_cast<int64_t>(i), probability);
    row[i] = replaced ? 1 : 0;
  }
}

std::vector<float> StepSchedule::table(int64_t graph_terms, int64_t teachers,
                                       int64_t modules) const {
  const auto width = static_cast<size_t>(columns(graph_terms, teachers, modules));
  const std::vector<TermSpec> terms = loss_terms(stage_);
  std::vector<float> table;
  table.reserve(rates_.size() * width);
  for (size_t step = 0; step < rates_.size(); ++step) {
    const double epoch = static_cast<double>(step) / static_cast<double>(steps_per_epoch_);
    std::vector<float> row(width, 1.0f);
    row[kRate] = rates_[step];
    auto next = static_cast<size_t>(kGraphTerms);
    for (const TermSpec& spec : terms) {
      const auto factor = static_cast<float>(spec.schedule.at(epoch));
      const TermDef& def = term(spec.name);
      if (def.is_row_term()) {
        row[static_cast<size_t>(kSlots) + static_cast<size_t>(def.slot)] = factor;
      } else {
        row[next++] = factor;
      }
    }
    for (size_t i = 0; i < static_cast<size_t>(teachers); ++i) {
      const size_t at = static_cast<size_t>(kGraphTerms + graph_terms) + i;
      if (!stage_.teacher_weights.empty()) {
        row[at] = static_cast<float>(stage_.teacher_weights[i]);
      }
      if (!stage_.teacher_join.empty() && epoch < stage_.teacher_join[i]) row[at] = 0;
    }
    put_modules(static_cast<int64_t>(step), std::span(row).last(static_cast<size_t>(modules)));
    table.insert(table.end(), row.begin(), row.end());
  }
  return table;
}

}  // namespace kd
