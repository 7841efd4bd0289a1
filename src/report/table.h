// A table that is printed on a terminal or put into a page: one content, two forms.
#pragma once

#include <string>
#include <vector>

#include "report/summary.h"

namespace kd {

struct Column {
  std::string title;
  std::string help;          // shown when pointed at
  size_t minimum_width = 0;  // on a terminal
};
// The first column names its row and is aligned left, numbers right. Cells are plain text.
struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
};

std::string to_text(const Table& table);
std::string to_html(const Table& table, const std::string& about);  // about: said below it

// "76.31 ± 0.22", "76.31" of one value, "–" of none.
std::string cell(const std::optional<Spread>& value, int decimals);
std::string cell(const std::optional<double>& value, int decimals);  // 12,345.6
std::string signed_cell(const std::optional<Spread>& value, int decimals);

Table accuracy_table(const std::vector<RunGroup>& groups);     // and likeness to the teacher
Table calibration_table(const std::vector<RunGroup>& groups);  // and cost
Table short_table(const std::vector<RunGroup>& groups);        // fits a terminal
Table models_table(const RunRecord& run);                      // teacher, student alone, student
// What `kdengine compare` prints: no scorecard needed.
Table compare_table(const std::vector<RunRecord>& runs);

}  // namespace kd
