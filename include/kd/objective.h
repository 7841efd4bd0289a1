// The objective: named terms with weights, added up. The registry is src/distill/terms/terms.def.
//
// Row terms need no more than rows of logits and live in one fused pass (distill_loss). The others
// are graphs of base ops over logits, tapped layers and adapters (kd/term_graph.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kd/distill_ops.h"
#include "kd/ops.h"

namespace kd {

class TermGraph;

// A factor of a term's weight, linear from `begin` to `end` (epochs of the stage), constant
// outside.
struct WeightSchedule {
  double begin = 0, end = 0, from = 1, to = 1;
  double at(double epoch) const;
  bool constant() const { return from == 1 && to == 1; }
  bool operator==(const WeightSchedule&) const = default;
};

// A layer of the student and one of a teacher, by path (kd/layers.h).
struct TapPair {
  std::string student, teacher;
  int64_t which = 0;  // of the teachers
  bool operator==(const TapPair&) const = default;
};

struct TermSpec {
  std::string name;  // "ce", "kl", ...
  double weight = 1;
  std::map<std::string, double> params = {};  // as the term's schema names them; missing = default
  WeightSchedule schedule = {};
  std::vector<TapPair> at = {};  // empty: the term's default
  std::string model = {};        // path of the model that the term trains along
  bool operator==(const TermSpec&) const = default;
};

struct TermParam {
  std::string_view name;
  double fallback, low, high;
  std::string_view help;
};

// Which layers a term reads where a recipe does not say.
enum class DefaultTaps : uint8_t { none, features, stages, pre_activations /* of the stages */ };

// One term: what it is called, what it needs, and its definition in base ops.
struct TermDef {
  std::string_view name;
  std::string_view formula;  // one line, with its source
  LossTerm slot = {};        // row terms: where the fused loss reports it
  bool needs_teacher = false, needs_labels = false;
  std::vector<TermParam> params = {};
  // Row terms: the unweighted term, a scalar, in base ops; logits are f32. Attrs hold the
  // parameters.
  Value (*define)(Graph&, const DistillLossInputs&, const DistillLossAttrs&) = nullptr;
  // Row terms: writes params into the fused op's attributes.
  void (*configure)(DistillLossAttrs&, const std::map<std::string, double>& params) = nullptr;
  // The others: how many pairs of layers they read, from which by default, and their definition.
  int least_taps = 0, most_taps = 0;
  DefaultTaps taps = DefaultTaps::none;
  Value (*build)(TermGraph&) = nullptr;  // the unweighted term, a scalar
  bool needs_ids = false;                // reads which pictures of the training set the batch holds

  bool needs_model = false;  // trains a model of its own beside the student: TermSpec::model

  bool is_row_term() const { return build == nullptr; }
};
std::span<const TermDef* const> all_terms();
const TermDef& term(std::string_view name);  // throws Error{usage} with the nearest valid name

// Checks names, parameters (unknown, out of range), weights (negative, NaN, zero throughout),
// layers (too few, too many), models (missing, not wanted) and that no row term nor one with a
// model is given twice. `epochs`: of the stage.
void check_terms(const std::vector<TermSpec>& terms, double epochs);
// The row terms among them, checked, as the fused op takes them.
DistillLossAttrs resolve_objective(const std::vector<TermSpec>& terms);
bool needs_teacher(const std::vector<TermSpec>& terms);
bool needs_labels(const std::vector<TermSpec>& terms);
bool needs_ids(const std::vector<TermSpec>& terms);

// "ce=0.1,kl=0.9" -> specs; throws Error{usage}.
std::vector<TermSpec> parse_terms(std::string_view text);

}  // namespace kd
