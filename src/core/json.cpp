#include "core/json.h"

#include <algorithm>

#include "core/file.h"

namespace kd {

Json parse_json(std::string_view text, const std::string& where) {
  // The callback sees every key: a key twice in one object would silently win otherwise.
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      KD_CHECK(keys.back().insert(parsed.get<std::string>()).second,
               "{}: the key '{}' appears twice in one object", where, parsed.get<std::string>());
    }
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::parse_error& error) {
    fail(ErrorCode::input, "{}: not valid JSON at byte {}", where, error.byte);
  }
}

Json read_json(const std::string& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

StrictObject::StrictObject(const Json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  KD_CHECK(object.is_object(), "{}: expected an object in braces, found {}", where_,
           object.type_name());
}

bool StrictObject::has(const std::string& key) {
  if (std::ranges::find(asked_, key) == asked_.end()) asked_.push_back(key);
  return object_.contains(key);
}

const Json& StrictObject::raw(const std::string& key) {
  KD_CHECK(has(key), "{}: the key '{}' is missing", where_, key);
  return object_.at(key);
}

void StrictObject::finish() const {
  for (const auto& [key, value] : object_.items()) {
    KD_CHECK(std::ranges::find(asked_, key) != asked_.end(), "{}: unknown key '{}'{}", where_, key,
             suggestion(key, asked_));
  }
}

}  // namespace kd
