// Terms and stages as JSON: what a recipe's structured keys hold. Format: models/recipes/README.md.
#pragma once

#include "core/json.h"
#include "kd/config.h"

namespace kd {

TermSpec read_term(const Json& json, const std::string& where);  // throws Error{usage}
Json write_term(const TermSpec& spec);

// Takes a JSON value into a setting; throws Error{usage} naming `where` and what was expected.
void assign(const Setting& setting, const Json& value, const std::string& where);
// A recipe that says what `config` says: what differs from the defaults, and stages from the run.
Json write_recipe(const RunConfig& config);
// All settings of a list as an object.
Json write_settings(const std::vector<Setting>& list);

}  // namespace kd
