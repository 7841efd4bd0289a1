// Strict reading of JSON objects: unknown keys, missing keys and wrong types are errors that name
// the place and the nearest valid key.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/names.h"
#include "kd/error.h"

namespace kd {

using Json = nlohmann::ordered_json;

// Parses text; the error names `where` (a file) and the position.
Json parse_json(std::string_view text, const std::string& where);
Json read_json(const std::string& path);

// One object being read. Ask for every valid key, then call finish().
class StrictObject {
 public:
  StrictObject(const Json& object, std::string where);  // throws Error if it is no object

  bool has(const std::string& key);  // counts as asking
  template <class T>
  T required(const std::string& key) {
    KD_CHECK(has(key), "{}: the key '{}' is missing", where_, key);
    return convert<T>(key);
  }
  template <class T>
  T optional(const std::string& key, T fallback) {
    return has(key) ? convert<T>(key) : fallback;
  }
  const Json& raw(const std::string& key);  // required, unconverted
  const std::string& where() const { return where_; }
  void finish() const;  // throws Error at the first key that was never asked for

 private:
  template <class T>
  T convert(const std::string& key) const {
    try {
      return object_.at(key).template get<T>();
    } catch (const nlohmann::json::exception&) {
      fail(ErrorCode::input, "{}: '{}' is {}, expected {}", where_, key, object_.at(key).dump(),
           expected<T>());
    }
  }
  template <class T>
  static std::string_view expected() {
    if constexpr (std::is_same_v<T, bool>)
      return "true or false";
    else if constexpr (std::is_integral_v<T>)
      return "an integer";
    else if constexpr (std::is_floating_point_v<T>)
      return "a number";
    else if constexpr (std::is_convertible_v<T, std::string>)
      return "a string";
    else
      return "another type";
  }

  const Json& object_;
  std::string where_;
  std::vector<std::string> asked_;
};

}  // namespace kd
