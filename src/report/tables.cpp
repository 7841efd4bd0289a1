// Which measures stand in which table.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>

#include "report/table.h"

namespace kd {
namespace {

struct Measure {
  Column column;
  std::function<std::string(const RunGroup&, const Summary&)> text;
};

std::optional<double> scaled(const std::optional<double>& value, double factor) {
  return value ? std::optional(*value * factor) : std::nullopt;
}

Measure spread_of(Column column, std::optional<Spread> Summary::*member, int decimals) {
  return {std::move(column),
          [=](const RunGroup&, const Summary& s) { return cell(s.*member, decimals); }};
}
Measure cost_of(Column column, std::optional<double> ModelCost::*member, double factor,
                int decimals) {
  return {std::move(column), [=](const RunGroup&, const Summary& s) {
            return cell(scaled(s.cost.*member, factor), decimals);
          }};
}

Measure name_of_run() {
  return {{"Run", "folder of the run"}, [](const RunGroup& g, const Summary&) { return g.name; }};
}

std::vector<Measure> accuracy_measures() {
  return {name_of_run(),
          {{"Seeds", "runs of this configuration"},
           [](const RunGroup& g, const Summary&) { return std::to_string(g.runs.size()); }},
          spread_of({"Top-1 %", "of the test pictures"}, &Summary::top1, 2),
          spread_of({"Alone %", "top-1 of the same student and seed without a teacher"},
                    &Summary::baseline_top1, 2),
          {{"Gain", "top-1 above the same student and seed without a teacher, points"},
           [](const RunGroup&, const Summary& s) { return signed_cell(s.gain, 2); }},
          {{"Gap closed %", "(student - alone) / (teacher - alone)"},
           [](const RunGroup&, const Summary& s) { return cell(scaled(s.gap_closed, 100), 0); }},
          spread_of({"Teacher %", "top-1 of the teacher"}, &Summary::teacher_top1, 2),
          spread_of({"Top-5 %", "label among the five likeliest"}, &Summary::top5, 2),
          spread_of({"Agreement %", "same answer as the teacher"}, &Summary::agreement, 1),
          spread_of({"KL", "KL(teacher || student) at T = 1, nats"}, &Summary::kl, 3)};
}

std::vector<Measure> calibration_measures() {
  return {name_of_run(),
          spread_of({"NLL", "mean -log p of the label, nats"}, &Summary::nll, 3),
          spread_of({"NLL fitted", "after temperature fitting"}, &Summary::nll_fitted, 3),
          spread_of({"Brier", "0 to 2, lower is better"}, &Summary::brier, 3),
          spread_of({"Brier fitted", "after temperature fitting"}, &Summary::brier_fitted, 3),
          spread_of({"ECE %", "expected calibration error, 15 equal bins"}, &Summary::ece, 2),
          spread_of({"ECE fitted %", "after temperature fitting"}, &Summary::ece_fitted, 2),
          cost_of({"Parameters", "of the student"}, &ModelCost::parameters, 1, 0),
          cost_of({"MFLOP", "of one picture, forwards"}, &ModelCost::flops, 1e-6, 1),
          cost_of({"Latency ms", "batch 1, median"}, &ModelCost::latency_ms, 1, 2),
          cost_of({"Images/s", "inference"}, &ModelCost::images_per_second, 1, 0),
          cost_of({"Memory MiB", "peak"}, &ModelCost::peak_memory_bytes, 1 / 1048576.0, 1)};
}

Table table_of(const std::vector<RunGroup>& groups, const std::vector<Measure>& chosen) {
  Table table;
  for (const Measure& measure : chosen) table.columns.push_back(measure.column);
  for (const RunGroup& group : groups) {
    const Summary summary = summarise(group);
    std::vector<std::string>& row = table.rows.emplace_back();
    for (const Measure& measure : chosen) row.push_back(measure.text(group, summary));
  }
  return table;
}

std::vector<std::string> model_row(const std::string& name, const ModelScore& score,
                                   const ModelCost& cost) {
  const auto& fitted = score.fitted;
  const auto after = [&](double Calibration::*member) {
    return fitted ? std::optional((*fitted).*member) : std::nullopt;
  };
  return {name,
          cell(std::optional(score.top1), 2),
          cell(std::optional(score.top5), 2),
          cell(std::optional(score.raw.nll), 3),
          cell(after(&Calibration::nll), 3),
          cell(std::optional(score.raw.brier), 3),
          cell(after(&Calibration::brier), 3),
          cell(std::optional(score.raw.ece), 2),
          cell(after(&Calibration::ece), 2),
          cell(score.temperature, 2),
          cell(cost.parameters, 0),
          cell(scaled(cost.flops, 1e-6), 1),
          cell(cost.latency_ms, 2),
          cell(cost.images_per_second, 0),
          cell(scaled(cost.peak_memory_bytes, 1 / 1048576.0), 1)};
}

}  // namespace

Table accuracy_table(const std::vector<RunGroup>& groups) {
  return table_of(groups, accuracy_measures());
}

Table calibration_table(const std::vector<RunGroup>& groups) {
  return table_of(groups, calibration_measures());
}

Table short_table(const std::vector<RunGroup>& groups) {
  const std::vector<Measure> all = accuracy_measures();
  std::vector<Measure> chosen;
  std::ranges::copy_if(all, std::back_inserter(chosen),
                       [](const Measure& m) { return m.column.title != "Top-5 %"; });
  for (const Measure& measure : calibration_measures()) {
    if (measure.column.title == "ECE %" || measure.column.title == "Parameters")
      chosen.push_back(measure);
  }
  return table_of(groups, chosen);
}

Table models_table(const RunRecord& run) {
  Table table{{{"Model", ""},
               {"Top-1 %", ""},
               {"Top-5 %", ""},
               {"NLL", ""},
               {"fitted", "NLL after temperature fitting"},
               {"Brier", ""},
               {"fitted", "Brier after temperature fitting"},
               {"ECE %", "15 equally wide bins"},
               {"fitted", "ECE after temperature fitting"},
               {"T", "the fitted temperature"},
               {"Parameters", ""},
               {"MFLOP", "of one picture, forwards"},
               {"Latency ms", "batch 1, median"},
               {"Images/s", "inference"},
               {"Memory MiB", "peak"}},
              {}};
  const Scorecard& card = *run.scorecard;
  if (card.teacher) table.rows.push_back(model_row("Teacher", *card.teacher, card.teacher_cost));
  if (card.baseline) {
    table.rows.push_back(model_row("Student alone", *card.baseline, card.student_cost));
  } else if (!run.baseline.empty() && run.baseline.front().scorecard) {
    const Scorecard& alone = *run.baseline.front().scorecard;
    table.rows.push_back(model_row("Student alone", alone.student, alone.student_cost));
  }
  table.rows.push_back(
      model_row(run.taught() ? "Student, taught" : "Student", card.student, card.student_cost));
  return table;
}

Table compare_table(const std::vector<RunRecord>& runs) {
  Table table{{{"run", "", 28},
               {"best top-1", "", 10},
               {"teacher", "", 10},
               {"parameters", "", 13},
               {"best.bin", "", 12},
               {"training", "", 16}},
              {}};
  for (const RunRecord& run : runs) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(run.path + "/best.bin", error);
    table.rows.push_back({run.path, fmt::format("{:.2f} %", run.best_top1.value_or(0)),
                          run.teacher_top1 ? fmt::format("{:.2f} %", *run.teacher_top1) : "-",
                          fmt::format("{:.0f}", run.parameters.value_or(0)),
                          fmt::format("{} KiB", error ? 0 : bytes / 1024),
                          fmt::format("{:.0f} img/s", run.images_per_second.value_or(0))});
  }
  return table;
}

}  // namespace kd
