// The numbers of a configuration by their dotted names, and what a search tries of them.
#pragma once

#include <optional>
#include <variant>

#include "core/json.h"
#include "kd/config.h"
#include "kd/search_space.h"

namespace kd {

// A recipe's key "search" and back. Reading checks the form; names are checked against a
// configuration by check_space().
std::vector<SearchDimension> read_search_space(const Json& json, const std::string& where);
Json write_search_space(const std::vector<SearchDimension>& space);

// One number: every place of a configuration that has this name.
struct Knob {
  struct Parameter {  // of a term; one that a recipe leaves out has its default
    TermSpec* term;
    std::string name;
    double fallback;
  };
  std::string name;
  double low = 0, high = 0;
  std::vector<std::variant<int64_t*, double*, Parameter>> places = {};

  bool whole() const { return std::holds_alternative<int64_t*>(places.front()); }
  std::optional<double> get() const;  // nothing where places differ
  void set(double value) const;
};
// All that can be searched. Terms are only there where `terms` holds them: spell_out_terms().
std::vector<Knob> knobs(RunConfig& config);
// Makes `loss` and `alpha` lists of terms.
void spell_out_terms(RunConfig& config);

// Throws Error{usage}: an unknown name, a value out of bounds, a dimension without effect.
void check_space(const std::vector<SearchDimension>& space, const RunConfig& config);
RunConfig with_values(const RunConfig& config, const std::vector<SearchDimension>& space,
                      const std::vector<std::optional<double>>& values);
// What `config` itself says.
std::vector<std::optional<double>> values_of(const RunConfig& config,
                                             const std::vector<SearchDimension>& space);

}  // namespace kd
