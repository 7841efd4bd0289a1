#include "distill/search_space.h"

#include <algorithm>
#include <cmath>

#include "kd/search.h"

namespace kd {
namespace {

using Scale = SearchDimension::Scale;

double number(const Json& json, const std::string& where) {
  if (!json.is_number()) fail(ErrorCode::usage, "{} is {}, expected a number", where, quoted(json));
  return json.get<double>();
}

SearchDimension read_range(const Json& json, SearchDimension range, const std::string& where) {
  const std::vector<std::string> keys{"from", "to", "scale"}, scales{"linear", "log"};
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(keys, key) == keys.end()) {
      fail(ErrorCode::usage, "{}: unknown key '{}'{}", where, key, suggestion(key, keys));
    }
  }
  if (!json.contains("from") || !json.contains("to")) {
    fail(ErrorCode::usage, "{}: 'from' or 'to' is missing", where);
  }
  range.from = number(json["from"], where + ": 'from'");
  range.to = number(json["to"], where + ": 'to'");
  if (!(range.from < range.to)) {
    fail(ErrorCode::usage, "{}: from {} to {} is no range", where, range.from, range.to);
  }
  const Json given = json.contains("scale") ? json["scale"] : Json("linear");
  const std::string scale = given.is_string() ? given.get<std::string>() : given.dump();
  if (std::ranges::find(scales, scale) == scales.end()) {
    fail(ErrorCode::usage, "{}: 'scale' is '{}'{}", where, scale, suggestion(scale, scales));
  }
  range.scale = scale == "log" ? Scale::log : Scale::linear;
  if (range.scale == Scale::log && !(range.from > 0)) {
    fail(ErrorCode::usage, "{}: from {}, expected more than 0 on a log scale", where, range.from);
  }
  return range;
}

SearchDimension read_dimension(const std::string& name, const Json& json,
                               const std::string& where) {
  SearchDimension dimension{name};
  if (json.is_object()) return read_range(json, std::move(dimension), where);
  if (!json.is_array() || json.empty()) {
    fail(ErrorCode::usage,
         "{} is {}, expected a list of numbers or {\"from\": ..., \"to\": ..., \"scale\": \"log\"}",
         where, quoted(json));
  }
  for (const Json& value : json) dimension.choices.push_back(number(value, where));
  return dimension;
}

const Knob& knob_named(const std::vector<Knob>& all, const std::string& name) {
  const auto at = std::ranges::find(all, name, &Knob::name);
  if (at != all.end()) return *at;
  std::vector<std::string> names;
  for (const Knob& knob : all) names.push_back(knob.name);
  fail(ErrorCode::usage, "search: '{}' can't be searched{}", name, suggestion(name, names));
}

bool is_of_term(const std::string& name) {
  return name.starts_with("terms.") || name.find(".terms.") != std::string::npos;
}

// The ends of what is tried.
std::pair<double, double> extent(const SearchDimension& d) {
  if (d.choices.empty()) return {d.from, d.to};
  const auto [low, high] = std::ranges::minmax(d.choices);
  return {low, high};
}

// Settings that only speak to terms made from `loss` or `alpha`.
void check_effect(const SearchDimension& dimension, const RunConfig& config) {
  const std::string name = dimension.name.substr(dimension.name.rfind('.') + 1);
  const bool of_terms =
      name == "alpha" || name == "temperature" || name == "label-smoothing" || name == "margin";
  const auto [low, high] = extent(dimension);
  if (!of_terms || is_of_term(dimension.name) || low == high) return;
  const RunConfig a = with_values(config, {dimension}, {low});
  const RunConfig b = with_values(config, {dimension}, {high});
  for (int64_t i = 0; i < stage_count(config); ++i) {
    if (loss_terms(at_stage(a, i)) != loss_terms(at_stage(b, i))) return;
  }
  fail(ErrorCode::usage,
       "search: '{}' changes no term of this recipe; name the term's own number, such as "
       "terms.kl.temperature or terms.kl.weight",
       dimension.name);
}

}  // namespace

std::vector<SearchDimension> read_search_space(const Json& json, const std::string& where) {
  if (!json.is_object()) {
    fail(ErrorCode::usage, "{}: 'search' is {}, expected an object in braces", where, quoted(json));
  }
  std::vector<SearchDimension> space;
  for (const auto& [name, value] : json.items()) {
    space.push_back(read_dimension(name, value, format("{}: search: {}", where, name)));
  }
  return space;
}

Json write_search_space(const std::vector<SearchDimension>& space) {
  Json json = Json::object();
  for (const SearchDimension& d : space) {
    if (d.choices.empty()) {
      const char* scale = d.scale == Scale::log ? "log" : "linear";
      json[d.name] = {{"from", d.from}, {"to", d.to}, {"scale", scale}};
    } else {
      json[d.name] = d.choices;
    }
  }
  return json;
}

void check_space(const std::vector<SearchDimension>& space, const RunConfig& config) {
  RunConfig copy = config;
  spell_out_terms(copy);
  const std::vector<Knob> all = knobs(copy);
  for (const SearchDimension& d : space) {
    const Knob& knob = knob_named(all, d.name);
    const auto [low, high] = extent(d);
    if (!(low >= knob.low && high <= knob.high)) {
      fail(ErrorCode::usage, "search: {} is tried from {} to {}, expected {} to {}", d.name, low,
           high, knob.low, knob.high);
    }
    const auto fraction = [](double x) { return x != std::round(x); };
    if (knob.whole() && (std::ranges::any_of(d.choices, fraction) || fraction(low))) {
      fail(ErrorCode::usage, "search: {} takes whole numbers", d.name);
    }
    check_effect(d, config);
  }
}

RunConfig with_values(const RunConfig& config, const std::vector<SearchDimension>& space,
                      const std::vector<std::optional<double>>& values) {
  RunConfig result = config;
  const auto set = [&](bool of_terms) {
    const std::vector<Knob> all = knobs(result);
    for (size_t i = 0; i < space.size(); ++i) {
      if (values[i] && is_of_term(space[i].name) == of_terms) {
        knob_named(all, space[i].name).set(*values[i]);
      }
    }
  };
  set(false);  // first: terms are made from some of them
  const auto of_term = [](const SearchDimension& d) { return is_of_term(d.name); };
  if (std::ranges::none_of(space, of_term)) return result;
  spell_out_terms(result);
  set(true);
  return result;
}

std::vector<std::optional<double>> values_of(const RunConfig& config,
                                             const std::vector<SearchDimension>& space) {
  RunConfig copy = config;
  spell_out_terms(copy);
  const std::vector<Knob> all = knobs(copy);
  std::vector<std::optional<double>> values;
  for (const SearchDimension& d : space) values.push_back(knob_named(all, d.name).get());
  return values;
}

std::vector<SearchDimension> default_search_space(const RunConfig& config) {
  RunConfig copy = config;
  spell_out_terms(copy);
  std::vector<SearchDimension> space;
  const auto add = [&](std::string name, double from, double to) {
    if (from > 0) space.push_back({std::move(name), {}, from, to, Scale::log});
  };
  const auto add_stage = [&](const std::string& prefix, const StageConfig& stage) {
    add(prefix + "lr", stage.lr / 10, std::min(1e3, stage.lr * 3));
    for (const TermSpec& spec : stage.terms) {
      const std::string name = prefix + "terms." + spec.name;
      const bool again = std::ranges::any_of(
          space, [&](const SearchDimension& d) { return d.name == name + ".weight"; });
      if (spec.name == "ce" || again) continue;
      if (spec.name == "kl") add(name + ".temperature", 1, 16);
      // Alone, a weight does what the learning rate does.
      if (stage.terms.size() > 1) add(name + ".weight", spec.weight / 10, spec.weight * 10);
    }
  };
  if (copy.stages.empty()) add_stage("", copy);
  for (size_t i = 0; i < copy.stages.size(); ++i) {
    add_stage(format("stages.{}.", i), copy.stages[i]);
  }
  return space;
}

}  // namespace kd
