// Diagrams as SVG elements. Text and lines take their colours from the page's style sheet; what a
// mark stands for is also told by dashes, position or a number, never by colour alone.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kd/report.h"

namespace kd {

struct Line {
  std::string label;
  std::vector<std::pair<double, double>> points;
};
struct LineChart {
  std::string title, x_label, y_label;
  std::vector<Line> lines;  // at most 6 styles; more repeat them
};
std::string line_chart(const LineChart& chart);

// Where axis labels stand: about `count` multiples of 1, 2 or 5 times a power of ten that cover
// low..high.
std::vector<double> ticks(double low, double high, int count);
// As many decimals as steps of `step` need; powers of ten where that is too long.
std::string tick_text(double value, double step);

// Accuracy over confidence, before and (dots) after temperature fitting, with the share of pictures
// in each bin below.
std::string reliability_diagram(const ModelScore& score);

// Rows: label, columns: answer, cells: percent of the row. More than 30 classes: the 30 with the
// lowest top-1.
std::string confusion_heat_map(const Scorecard& card);

// Per class: top-1 of the student minus that of `other`, in points; more than 30 classes: the 30
// that changed most.
std::string change_bars(const Scorecard& card, const ModelScore& other, const std::string& title);

}  // namespace kd
