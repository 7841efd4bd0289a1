// Cases of terms that are graphs of ops over tapped layers (kd/term_graph.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cases/case.h"
#include "kd/objective.h"

namespace kd::test {

struct TermCase {
  std::string name;    // term_<term>_<name>
  std::string term;    // as registered
  TermSpec spec = {};  // its parameters; name and weight are not read
  // Of each pair the student's layer, then the teacher's (left out where the term needs none).
  std::vector<Leaf> layers = {};
  // By name: "student_logits", "teacher_logits", "peer_logits", "labels", "partner_labels",
  // "shares", "ids", "key", "all_labels", and the term's own parameters and states
  // ("term.hint.0.weight": the pair's name is its index here).
  std::vector<Leaf> others = {};
  int64_t population = 1;
  // The unweighted term (and then the new contents of updated states), given layers, then others.
  std::function<Arrays(const Arrays&)> oracle;
  Tolerance tolerance = {.a = 64, .b = 4, .length = 64};
};
Case term_case(const TermCase& term);

// The tapped layers of a case: what the student trains, and the teacher's beside it.
Leaf student_layer(Shape shape, const std::string& suffix = {}, Fill fill = normal());
Leaf teacher_layer(Shape shape, const std::string& suffix = {}, Fill fill = normal());
// "term.<term>.<layer>.weight" and ".bias" of a trained layer: `weight` (K, R, S, C) or (K, D).
std::vector<Leaf> trained_layer(const std::string& name, Shape weight);
// What an oracle returns of a term: its value.
Arrays scalar(double value);

std::vector<Case> connector_term_cases();
std::vector<Case> stage_term_cases();

}  // namespace kd::test
