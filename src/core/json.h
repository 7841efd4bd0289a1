// Strict reading of JSON objects: unknown keys, missing keys and wrong types are errors that name
// the place and the nearest valid key.
#pragma once

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/names.h"
#include "kd/error.h"

namespace kd {

using Json = nlohmann::ordered_json;

// Parses text; the error names `where` (a file) and the position. Refuses what costs more than the
// file justifies: more than 16 MiB, 64 levels, 10000 keys in one object.
Json parse_json(std::string_view text, const std::string& where);
Json read_json(const std::string& path);
std::string quoted(const Json& value);  // for messages: cut where it is long

// Does `json` hold a T, without a conversion that changes it (a fraction to an integer, say)?
template <class T>
struct JsonFits {
  static bool check(const Json& json) {
    if constexpr (std::is_same_v<T, bool>) {
      return json.is_boolean();
    } else if constexpr (std::is_integral_v<T>) {
      if (json.is_number_unsigned()) return std::in_range<T>(json.get<uint64_t>());
      return json.is_number_integer() && std::in_range<T>(json.get<int64_t>());
    } else if constexpr (std::is_floating_point_v<T>) {
      return json.is_number();
    } else {
      return json.is_string();
    }
  }
};
template <class T>
struct JsonFits<std::vector<T>> {
  static bool check(const Json& json) {
    return json.is_array() && std::ranges::all_of(json, JsonFits<T>::check);
  }
};
template <class T, size_t N>
struct JsonFits<std::array<T, N>> {
  static bool check(const Json& json) {
    return JsonFits<std::vector<T>>::check(json) && json.size() == N;
  }
};

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
    const Json& value = object_.at(key);
    KD_CHECK(JsonFits<T>::check(value), "{}: '{}' is {}, expected {}", where_, key, quoted(value),
             expected<T>());
    return value.get<T>();
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
      return "a list of another type or length";
  }

  const Json& object_;
  std::string where_;
  std::vector<std::string> asked_;
};

}  // namespace kd
