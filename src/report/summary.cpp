#include "report/summary.h"

#include <cmath>

namespace kd {
namespace {

template <class Get>
std::optional<Spread> over(const RunGroup& group, const Get& get) {
  std::vector<std::optional<double>> values;
  for (const RunRecord& run : group.runs) values.push_back(get(run));
  return spread(values);
}

template <class Get>  // get: double or optional, of a scorecard
std::optional<Spread> over_cards(const RunGroup& group, const Get& get) {
  return over(group, [&](const RunRecord& run) -> std::optional<double> {
    if (!run.scorecard) return std::nullopt;
    return get(*run.scorecard);
  });
}

std::optional<Spread> over_calibrations(const RunGroup& group, double Calibration::*member,
                                        bool fitted) {
  return over_cards(group, [&](const Scorecard& card) -> std::optional<double> {
    if (!fitted) return card.student.raw.*member;
    return card.student.fitted ? std::optional((*card.student.fitted).*member) : std::nullopt;
  });
}

std::optional<double> gain_of(const RunRecord& run) {
  if (!run.top1() || !run.baseline_top1()) return std::nullopt;
  return *run.top1() - *run.baseline_top1();
}

std::optional<double> group_gap(const RunGroup& group) {
  double student = 0, teacher = 0, baseline = 0;
  int64_t count = 0;
  for (const RunRecord& run : group.runs) {
    if (!gain_of(run) || !run.teacher()) continue;
    student += *run.top1();
    teacher += *run.teacher();
    baseline += *run.baseline_top1();
    ++count;
  }
  return count > 0 ? gap_closed(student, teacher, baseline) : std::nullopt;
}

ModelCost cost_of(const RunRecord& run) {
  ModelCost cost = run.scorecard ? run.scorecard->student_cost : ModelCost{};
  if (!cost.parameters) cost.parameters = run.parameters;
  return cost;
}

}  // namespace

std::optional<Spread> spread(const std::vector<std::optional<double>>& values) {
  Spread s;
  for (const auto& value : values) {
    if (!value) continue;
    ++s.count;
    s.mean += *value;
  }
  if (s.count == 0) return std::nullopt;
  const auto n = static_cast<double>(s.count);
  s.mean /= n;
  double squares = 0;
  for (const auto& value : values) {
    if (value) squares += (*value - s.mean) * (*value - s.mean);
  }
  if (s.count > 1) s.sd = std::sqrt(squares / (n - 1));
  return s;
}

Summary summarise(const RunGroup& group) {
  Summary s;
  s.top1 = over(group, [](const RunRecord& run) { return run.top1(); });
  s.teacher_top1 = over(group, [](const RunRecord& run) { return run.teacher(); });
  s.baseline_top1 = over(group, [](const RunRecord& run) { return run.baseline_top1(); });
  s.gain = over(group, gain_of);
  s.gap_closed = group_gap(group);
  s.top5 = over_cards(group, [](const Scorecard& card) { return card.student.top5; });
  s.agreement = over_cards(group, [](const Scorecard& card) { return card.agreement; });
  s.kl = over_cards(group, [](const Scorecard& card) { return card.kl; });
  s.ece = over_calibrations(group, &Calibration::ece, false);
  s.ece_fitted = over_calibrations(group, &Calibration::ece, true);
  s.nll = over_calibrations(group, &Calibration::nll, false);
  s.nll_fitted = over_calibrations(group, &Calibration::nll, true);
  s.brier = over_calibrations(group, &Calibration::brier, false);
  s.brier_fitted = over_calibrations(group, &Calibration::brier, true);
  s.cost = cost_of(group.runs.front());
  if (group.runs.front().scorecard) s.teacher_cost = group.runs.front().scorecard->teacher_cost;
  return s;
}

}  // namespace kd
