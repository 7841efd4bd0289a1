// What a user of a model must know, as JSON: the same in .bin and in exported files.
#pragma once

#include "core/json.h"
#include "kd/model.h"

namespace kd {

Json preprocess_to_json(const Preprocess& p);
// Throws Error naming `where` and the key.
Preprocess preprocess_from_json(const Json& json, const std::string& where);
std::vector<std::string> class_names_from_json(const Json& json, const std::string& where);

}  // namespace kd
