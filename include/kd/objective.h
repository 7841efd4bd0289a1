// The objective: named terms with weights, added up. The registry is src/distill/terms/terms.def.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kd/distill_ops.h"
#include "kd/ops.h"

namespace kd {

struct TermSpec {
  std::string name;  // "ce", "kl", ...
  double weight = 1;
  std::map<std::string, double> params;  // as the term's schema names them; missing = its default
};

struct TermParam {
  std::string_view name;
  double fallback, low, high;
  std::string_view help;
};

// One term: what it is called, what it needs, and its definition in base ops.
struct TermDef {
  std::string_view name;
  std::string_view formula;  // one line, with its source
  LossTerm slot;             // where the fused loss reports it
  bool needs_teacher, needs_labels;
  std::vector<TermParam> params;
  // The unweighted term, a scalar, in base ops; both logits are f32. Attrs hold the parameters.
  Value (*define)(Graph&, const DistillLossInputs&, const DistillLossAttrs&);
  // Writes params into the fused op's attributes.
  void (*configure)(DistillLossAttrs&, const std::map<std::string, double>& params);
};
std::span<const TermDef* const> all_terms();
const TermDef& term(std::string_view name);  // throws Error{usage} with the nearest valid name

// Checks names, parameters (unknown, out of range), weights (not all zero, none zero or negative or
// NaN), and that two terms do not ask for the same slot.
DistillLossAttrs resolve_objective(const std::vector<TermSpec>& terms);
bool needs_teacher(const DistillLossAttrs&);

// "ce=0.1,kl=0.9" -> specs; throws Error{usage}.
std::vector<TermSpec> parse_terms(std::string_view text);

}  // namespace kd
