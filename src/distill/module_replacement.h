// Module replacement: BERT-of-Theseus (Xu et al., EMNLP 2020) for convolutional networks. Student
// and teacher are cut at their stage outputs, aligned from the deepest, into as many modules, the
// last of which ends at the logits. In every step each module of the teacher is replaced by the
// student's with a probability that rises over the stage. The teacher's weights stay as they are.
//
//   h_s = z S(h_s) + (1 - z) down(T(h_t))      z in {0, 1}, of every step and module
//   h_t = z up(S(h_s)) + (1 - z) T(h_t)        up, down: adapters between unequal maps
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kd/config.h"
#include "kd/model.h"

namespace kd {

inline bool replaces_modules(const StageConfig& stage) {
  return stage.replace_from > 0 || stage.replace_to > 0;
}
// The number of the teacher whose modules are replaced: the first in use.
inline int64_t predecessor_of(const StageConfig& stage) {
  return stage.use_teachers.empty() ? 0 : stage.use_teachers[0];
}

// Linear from `replace_from` at the first of `steps` to `replace_to` at the last.
double replacement_probability(const StageConfig& stage, int64_t step, int64_t steps);
// Is the module the student's at this step? Bernoulli(probability), a pure function of all four.
bool is_replaced(uint64_t seed, int64_t step, int64_t module, double probability);

inline constexpr std::string_view kPredecessor = "predecessor.";  // before its tensors' names

struct ModuleReplacement {
  ModelGraph mixed;                       // input; logits f32 (N, K)
  std::vector<Value> replaced;            // f32 scalars, inputs "replaced.<module>": z
  std::map<std::string, Tensor> initial;  // f32: the teacher's tensors, "predecessor.<name>"
  std::vector<std::string> adapters;      // a line each, for the plan
};
// `training`: the student's training form in the type it computes in, its taps the stage outputs.
// Adapters, where widths differ, are 1x1 convolutions "term.replace.<module>.up.weight" and
// "...down.weight", trained; larger maps are averaged down, smaller ones repeated. Throws
// Error{usage} where the models share no stage, their pictures differ, or neither of two sizes
// divides the other.
ModuleReplacement replace_modules(const Model& student, const ModelGraph& training,
                                  const Model& teacher);

}  // namespace kd
