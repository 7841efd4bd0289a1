// The registry of terms, and how what a user asks for becomes the attributes of the fused loss.
#include "kd/objective.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/names.h"
#include "distill/terms/terms.h"
#include "kd/error.h"

namespace kd {
namespace {

constexpr std::array kTerms{
#define KD_TERM(name) &term_##name,
#include "distill/terms/terms.def"
#undef KD_TERM
};

void check_params(const TermSpec& spec, const TermDef& def) {
  std::vector<std::string> names;
  for (const TermParam& param : def.params) names.emplace_back(param.name);
  for (const auto& [name, value] : spec.params) {
    const auto at = std::ranges::find(def.params, name, &TermParam::name);
    if (at == def.params.end()) {
      fail(ErrorCode::usage, "loss term '{}' has no parameter '{}'{}", spec.name, name,
           suggestion(name, names));
    }
    if (!(value >= at->low && value <= at->high)) {
      fail(ErrorCode::usage, "loss term '{}': {} is {}, expected {} to {}", spec.name, name, value,
           at->low, at->high);
    }
  }
}

}  // namespace

std::span<const TermDef* const> all_terms() { return kTerms; }

const TermDef& term(std::string_view name) {
  std::vector<std::string> names;
  for (const TermDef* def : kTerms) {
    if (def->name == name) return *def;
    names.emplace_back(def->name);
  }
  fail(ErrorCode::usage, "unknown loss term '{}'{}", name, suggestion(name, names));
}

double param_or(const std::map<std::string, double>& params, const TermDef& def,
                std::string_view name) {
  const auto given = params.find(std::string(name));
  if (given != params.end()) return given->second;
  return std::ranges::find(def.params, name, &TermParam::name)->fallback;
}

double WeightSchedule::at(double epoch) const {
  if (epoch >= end) return to;
  if (epoch <= begin) return from;
  return from + (to - from) * (epoch - begin) / (end - begin);
}

namespace {

void check_weight(const TermSpec& spec, double epochs) {
  if (!(spec.weight > 0) || !std::isfinite(spec.weight)) {
    fail(ErrorCode::usage, "loss term '{}' has the weight {}, expected a number above 0", spec.name,
         spec.weight);
  }
  const WeightSchedule& s = spec.schedule;
  if (!(s.from >= 0 && s.to >= 0 && s.begin >= 0 && s.end >= s.begin)) {
    fail(
        ErrorCode::usage,
        "loss term '{}': the schedule goes from {} at epoch {} to {} at epoch {}, expected factors "
        "of 0 or more and epochs in order",
        spec.name, s.from, s.begin, s.to, s.end);
  }
  if (s.at(0) == 0 && s.at(epochs) == 0 && (s.begin >= epochs || s.from == s.to)) {
    fail(ErrorCode::usage, "loss term '{}' has the weight 0 in all {} epochs of the stage",
         spec.name, epochs);
  }
}

void check_model(const TermSpec& spec, const TermDef& def) {
  if (def.needs_model && spec.model.empty()) {
    fail(ErrorCode::usage,
         "loss term '{}' trains a model beside the student, and none is named: give its path as "
         "\"model\" in the terms of a config file or recipe (--loss has no place for it)",
         spec.name);
  }
  if (!def.needs_model && !spec.model.empty()) {
    fail(ErrorCode::usage, "loss term '{}': the model '{}' is given, but the term trains none",
         spec.name, spec.model);
  }
}

void check_taps(const TermSpec& spec, const TermDef& def) {
  const auto given = static_cast<int>(spec.at.size());
  if (given == 0 && (def.taps != DefaultTaps::none || def.least_taps == 0)) return;
  if (given < def.least_taps || given > def.most_taps) {
    fail(ErrorCode::usage, "loss term '{}': 'at' names {} pairs of layers, expected {}", spec.name,
         given,
         def.most_taps == def.least_taps ? format("{}", def.least_taps)
                                         : format("{} to {}", def.least_taps, def.most_taps));
  }
}

}  // namespace

void check_terms(const std::vector<TermSpec>& terms, double epochs) {
  if (terms.empty()) fail(ErrorCode::usage, "the loss has no terms, expected one or more");
  std::array<int, kLossTerms> used{};
  int models = 0;
  for (const TermSpec& spec : terms) {
    const TermDef& def = term(spec.name);
    check_weight(spec, epochs);
    check_params(spec, def);
    check_taps(spec, def);
    check_model(spec, def);
    if (def.needs_model && models++ > 0) {
      fail(ErrorCode::usage, "loss term '{}': the loss trains more than one model along",
           spec.name);
    }
    if (def.is_row_term() && used[static_cast<size_t>(def.slot)]++ > 0) {
      fail(ErrorCode::usage, "loss term '{}' is given twice", spec.name);
    }
  }
}

DistillLossAttrs resolve_objective(const std::vector<TermSpec>& terms) {
  check_terms(terms, 1e9);
  DistillLossAttrs attrs;
  for (const TermSpec& spec : terms) {
    const TermDef& def = term(spec.name);
    if (!def.is_row_term()) continue;
    attrs.weight[static_cast<size_t>(def.slot)] = spec.weight;
    def.configure(attrs, spec.params);
  }
  return attrs;
}

bool needs_teacher(const std::vector<TermSpec>& terms) {
  return std::ranges::any_of(terms, [](const TermSpec& t) { return term(t.name).needs_teacher; });
}
bool needs_labels(const std::vector<TermSpec>& terms) {
  return std::ranges::any_of(terms, [](const TermSpec& t) { return term(t.name).needs_labels; });
}
bool needs_ids(const std::vector<TermSpec>& terms) {
  return std::ranges::any_of(terms, [](const TermSpec& t) { return term(t.name).needs_ids; });
}

std::vector<TermSpec> parse_terms(std::string_view text) {
  std::vector<TermSpec> terms;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t equals = item.find('=');
    TermSpec spec{std::string(item.substr(0, equals))};
    if (equals != std::string_view::npos) {
      const std::string_view number = item.substr(equals + 1);
      const auto [end, error] =
          std::from_chars(number.data(), number.data() + number.size(), spec.weight);
      if (error != std::errc() || end != number.data() + number.size()) {
        fail(ErrorCode::usage, "loss term '{}': the weight '{}' is not a number", spec.name,
             number);
      }
    }
    terms.push_back(std::move(spec));
  }
  return terms;
}

}  // namespace kd
