#include "distill/recipe.h"

#include <algorithm>

#include "core/names.h"

namespace kd {
namespace {

[[noreturn]] void wrong(const std::string& where, std::string_view key, const Json& value,
                        std::string_view expected) {
  fail(ErrorCode::usage, "{}: '{}' is {}, expected {}", where, key, quoted(value), expected);
}

double number(const Json& value, const std::string& where, std::string_view key) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (!value.is_number()) wrong(where, key, value, "a number");
  return value.get<double>();
}

// "at": one of two words, or a list of [student's layer, teacher's layer] or [..., ..., which].
std::vector<TapPair> read_taps(const Json& json, const std::string& where) {
  constexpr std::string_view kExpected =
      "a list of [\"student's layer\", \"teacher's layer\"] pairs, each with the teacher's number "
      "(from 0) as a third entry if there are several";
  if (!json.is_array() || json.empty()) wrong(where, "at", json, kExpected);
  std::vector<TapPair> pairs;
  for (const Json& pair : json) {
    const bool fits =
        pair.is_array() && (pair.size() == 2 || pair.size() == 3) && pair[0].is_string() &&
        pair[1].is_string() &&
        (pair.size() == 2 || (pair[2].is_number_unsigned() && JsonFits<int64_t>::check(pair[2])));
    if (!fits) wrong(where, "at", json, kExpected);
    pairs.push_back({pair[0].get<std::string>(), pair[1].get<std::string>(),
                     pair.size() == 3 ? pair[2].get<int64_t>() : 0});
  }
  return pairs;
}

// "warmup": epochs from 0 to the whole weight; "ramp": [begin, end, from, to].
WeightSchedule read_schedule(const Json& json, const std::string& where) {
  if (json.contains("warmup") && json.contains("ramp")) {
    fail(ErrorCode::usage, "{}: both 'warmup' and 'ramp', expected one of them", where);
  }
  if (json.contains("warmup")) {
    const double epochs = number(json["warmup"], where, "warmup");
    if (!(epochs >= 0)) wrong(where, "warmup", json["warmup"], "epochs, 0 or more");
    return epochs > 0 ? WeightSchedule{0, epochs, 0, 1} : WeightSchedule{};
  }
  if (!json.contains("ramp")) return {};
  const Json& ramp = json["ramp"];
  const bool fits = ramp.is_array() && ramp.size() == 4 &&
                    std::ranges::all_of(ramp, [](const Json& x) { return x.is_number(); });
  if (!fits) {
    wrong(where, "ramp", ramp, "[first epoch, last epoch, factor at first, factor at last]");
  }
  return {ramp[0].get<double>(), ramp[1].get<double>(), ramp[2].get<double>(),
          ramp[3].get<double>()};
}

std::vector<std::string> term_names() {
  std::vector<std::string> names;
  for (const TermDef* def : all_terms()) names.emplace_back(def->name);
  return names;
}

}  // namespace

TermSpec read_term(const Json& json, const std::string& where) {
  if (!json.is_object() || !json.contains("term") || !json["term"].is_string()) {
    fail(ErrorCode::usage, "{}: {}, expected an object with \"term\": one of{}", where,
         quoted(json), suggestion("", term_names()).substr(1));
  }
  TermSpec spec{json["term"].get<std::string>()};
  const TermDef& def = term(spec.name);
  const std::string here = where + ": " + spec.name;
  std::vector<std::string> keys{"term", "weight", "warmup", "ramp", "at"};
  if (def.needs_model) keys.emplace_back("model");
  for (const TermParam& param : def.params) keys.emplace_back(param.name);
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(keys, key) == keys.end()) {
      fail(ErrorCode::usage, "{}: unknown key '{}'{}", here, key, suggestion(key, keys));
    }
    if (key == "weight") {
      spec.weight = number(value, here, key);
    } else if (key == "at") {
      if (def.most_taps == 0) {
        fail(ErrorCode::usage, "{}: 'at' is given, but the term reads no layers", here);
      }
      spec.at = read_taps(value, here);
    } else if (key == "model") {
      if (!value.is_string()) wrong(here, key, value, "a path: a .json architecture or a .bin");
      spec.model = value.get<std::string>();
    } else if (key != "term" && key != "warmup" && key != "ramp") {
      spec.params[key] = number(value, here, key);
    }
  }
  spec.schedule = read_schedule(json, here);
  return spec;
}

Json write_term(const TermSpec& spec) {
  Json json = {{"term", spec.name}, {"weight", spec.weight}};
  for (const auto& [name, value] : spec.params) json[name] = value;
  const WeightSchedule& s = spec.schedule;
  if (!s.constant()) json["ramp"] = {s.begin, s.end, s.from, s.to};
  if (!spec.model.empty()) json["model"] = spec.model;
  for (const TapPair& pair : spec.at)
    json["at"].push_back({pair.student, pair.teacher, pair.which});
  return json;
}

void assign(const Setting& setting, const Json& value, const std::string& where) {
  const auto each = [&]<class T>(T& place, const Json& json, std::string_view expected) {
    if (!JsonFits<T>::check(json)) wrong(where, setting.name, value, expected);
    place = json.get<T>();
  };
  const auto list = [&]<class T>(std::vector<T>& place, std::string_view expected) {
    place.clear();
    const Json items = value.is_array() ? value : Json::array({value});  // one needs no brackets
    for (const Json& item : items) {
      T one{};
      each(one, item, expected);
      place.push_back(one);
    }
  };
  std::visit(
      [&](auto* place) {
        using T = std::remove_pointer_t<decltype(place)>;
        if constexpr (std::is_same_v<T, std::string>) each(*place, value, "a string");
        if constexpr (std::is_same_v<T, bool>) each(*place, value, "true or false");
        if constexpr (std::is_same_v<T, int64_t>) each(*place, value, "an integer");
        if constexpr (std::is_same_v<T, double>) each(*place, value, "a number");
        if constexpr (std::is_same_v<T, std::vector<std::string>>) list(*place, "strings");
        if constexpr (std::is_same_v<T, std::vector<int64_t>>) list(*place, "integers");
        if constexpr (std::is_same_v<T, std::vector<double>>) list(*place, "numbers");
      },
      setting.place);
}

Json write_settings(const std::vector<Setting>& list) {
  Json json = Json::object();
  for (const Setting& setting : list) {
    std::visit([&](auto* place) { json[setting.name] = *place; }, setting.place);
  }
  return json;
}

}  // namespace kd
