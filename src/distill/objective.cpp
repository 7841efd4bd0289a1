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

DistillLossAttrs resolve_objective(const std::vector<TermSpec>& terms) {
  if (terms.empty()) fail(ErrorCode::usage, "the loss has no terms, expected one or more");
  DistillLossAttrs attrs;
  for (const TermSpec& spec : terms) {
    const TermDef& def = term(spec.name);
    if (!(spec.weight > 0) || !std::isfinite(spec.weight)) {
      fail(ErrorCode::usage, "loss term '{}' has the weight {}, expected a number above 0",
           spec.name, spec.weight);
    }
    double& weight = attrs.weight[static_cast<size_t>(def.slot)];
    if (weight != 0) fail(ErrorCode::usage, "loss term '{}' is given twice", spec.name);
    check_params(spec, def);
    weight = spec.weight;
    def.configure(attrs, spec.params);
  }
  return attrs;
}

bool needs_teacher(const DistillLossAttrs& attrs) {
  return std::ranges::any_of(kTerms, [&](const TermDef* def) {
    return def->needs_teacher && attrs.weight[static_cast<size_t>(def->slot)] != 0;
  });
}

std::vector<TermSpec> parse_terms(std::string_view text) {
  std::vector<TermSpec> terms;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t equals = item.find('=');
    TermSpec spec{std::string(item.substr(0, equals)), 1, {}};
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
