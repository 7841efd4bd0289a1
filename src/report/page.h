// The parts of the HTML page.
#pragma once

#include <string>

#include "report/summary.h"

namespace kd {

extern const char* const kStyleSheet;

// All groups compared, then each by itself.
std::string page_of(const std::vector<RunGroup>& groups);
// The same as JSON: everything the page is made of.
Json report_json(const std::vector<RunGroup>& groups);

// Curves, calibration, confusion, change, worst classes, configuration of one group.
std::string group_section(const RunGroup& group);
std::string finding_list(const std::vector<Finding>& list);

}  // namespace kd
