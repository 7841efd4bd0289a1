#include "core/json.h"

#include <algorithm>

#include "core/file.h"

namespace kd {

namespace {

// What a file may hold. Our own stay far below; beyond it, time and memory would grow faster than
// the file: objects look keys up one by one, writing and comparing go as deep as values nest.
constexpr size_t kMostBytes = size_t{16} << 20, kMostKeys = 10000;
constexpr int kDeepest = 64;

// Called for each value while it is parsed.
class Limits {
 public:
  explicit Limits(const std::string& where) : where_(where) {}
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    KD_CHECK(depth <= kDeepest, "{}: values nest deeper than {}", where_, kDeepest);
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key) {  // a key twice would silently win otherwise
      KD_CHECK(keys_.back().insert(parsed.get<std::string>()).second,
               "{}: the key '{}' appears twice in one object", where_, parsed.get<std::string>());
      KD_CHECK(keys_.back().size() <= kMostKeys, "{}: an object of more than {} keys", where_,
               kMostKeys);
    }
    return true;
  }

 private:
  const std::string& where_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  KD_CHECK(text.size() <= kMostBytes, "{}: {} bytes of JSON, expected at most {}", where,
           text.size(), kMostBytes);
  Limits limits(where);
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    return limits(depth, event, parsed);
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::parse_error& error) {
    fail(ErrorCode::input, "{}: not valid JSON at byte {}", where, error.byte);
  } catch (const Json::out_of_range&) {
    fail(ErrorCode::input, "{}: a number is too large", where);
  }
}

std::string quoted(const Json& value) {
  constexpr size_t kLongest = 200;               // of what a message repeats
  std::string text = value.dump(-1, ' ', true);  // ASCII: a cut never splits a character
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
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
