// The JSON forms behind kd/report.h, for those who put them into larger documents.
#pragma once

#include "core/json.h"
#include "kd/report.h"

namespace kd {

Json scorecard_json(const Scorecard& card);
Failure failure_from_json(const Json& json, const std::string& where);
// As text; bytes that are not UTF-8 (in names of files) are replaced.
std::string dump(const Json& json, int indent);

}  // namespace kd
