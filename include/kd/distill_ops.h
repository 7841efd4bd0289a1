// The fused distillation loss: attributes, inputs and builder.
#pragma once

#include <array>
#include <bit>
#include <optional>
#include <string>

#include "kd/graph.h"

namespace kd {

// The terms it can have, all over rows of logits; formulas: their TermDef (src/distill/terms).
enum class LossTerm : uint8_t {
  ce,
  kl,
  mse,
  lse_margin,
  lse_margin_literal,
  teacher_ce,
  hard_mix,
  dkd,
  logit_std,
  js,
  spherical,
};
constexpr int kLossTerms = 11;
// How lse_margin turns teacher outputs into weights that sum to 1.
enum class MarginWeights : uint8_t { softmax, normalised };
// What teacher_ce learns: the teacher's first likeliest class, or its softmax.
enum class TeacherTarget : uint8_t { likeliest, softmax };

// The inputs, in the order in which a node has those that are given.
enum class LossInput : uint8_t {
  student,
  teacher,
  labels,
  partner_labels,
  shares,
  term_weights,
  loss_scale,
};
constexpr int kLossInputs = 7;

struct DistillLossAttrs {
  std::array<double, kLossTerms> weight{};  // indexed by LossTerm; 0 = not computed
  double label_smoothing = 0;               // ce
  double temperature = 4;                   // kl: T
  bool mse_centred = false;                 // mse: subtract each row's mean from s and from t
  double margin = 2;                        // lse_margin: m
  double margin_temperature = 1;            // lse_margin: T of softmax weights
  MarginWeights margin_weights = MarginWeights::softmax;
  double literal_margin = 2;                                   // lse_margin_literal: m
  double literal_beta = 0.5;                                   // lse_margin_literal
  TeacherTarget teacher_target = TeacherTarget::likeliest;     // teacher_ce
  double mix_label = 0.5, mix_teacher = 0.3;                   // hard_mix: a, b
  double dkd_alpha = 1, dkd_beta = 8, dkd_temperature = 4;     // dkd
  double standard_temperature = 2;                             // logit_std: T
  double js_temperature = 1;                                   // js: T
  double spherical_temperature = 4, spherical_multiplier = 2;  // spherical: T, m
  uint32_t given = 1;  // bit i: the node has LossInput i; distill_loss() sets it
  template <class F>
  void fields(F&& f) {
    f("weight", weight), f("label_smoothing", label_smoothing), f("temperature", temperature),
        f("mse_centred", mse_centred), f("margin", margin),
        f("margin_temperature", margin_temperature), f("margin_weights", margin_weights),
        f("literal_margin", literal_margin), f("literal_beta", literal_beta),
        f("teacher_target", teacher_target), f("mix_label", mix_label),
        f("mix_teacher", mix_teacher), f("dkd_alpha", dkd_alpha), f("dkd_beta", dkd_beta),
        f("dkd_temperature", dkd_temperature), f("standard_temperature", standard_temperature),
        f("js_temperature", js_temperature), f("spherical_temperature", spherical_temperature),
        f("spherical_multiplier", spherical_multiplier), f("given", given);
  }
  bool has(LossInput input) const { return (given >> static_cast<int>(input) & 1) != 0; }
  double weight_of(LossTerm term) const { return weight[static_cast<size_t>(term)]; }
  // Its place among the node's inputs, if it has it.
  std::optional<size_t> place_of(LossInput input) const {
    if (!has(input)) return std::nullopt;
    const uint32_t before = given & ((uint32_t{1} << static_cast<int>(input)) - 1);
    return static_cast<size_t>(std::popcount(before));
  }
};

// All but the student may be empty where no term needs them.
struct DistillLossInputs {
  Value student = {};         // (N, K), of any float type
  Value teacher = {};         // (N, K), of the student's type
  Value labels = {};          // i32 (N); -1: the row has no label
  Value partner_labels = {};  // i32 (N): of the second picture of a mixed one (mixup, CutMix)
  Value shares = {};  // f32 (N): of `labels` in a mixed picture, in [0, 1]; with partners only
  Value term_weights = {};  // f32 (kLossTerms): multiplies attrs.weight, values and gradient
  Value loss_scale = {};    // f32 (1): multiplies dlogits only
};
// What a distill_loss node has been given.
DistillLossInputs distill_loss_inputs(const Node& node);

struct DistillLoss {
  Value total;    // f32 scalar: sum of weight * term
  Value terms;    // f32 (kLossTerms): unweighted values, 0 where attrs.weight is 0
  Value dlogits;  // (N, K), of the student's type: d total / d student
};
// Every weighted term in one pass over both logits. FUSED.
// A label term f (ce, hard_mix) of a mixed picture is share f(label) + (1 - share) f(partner); dkd
// cannot be mixed, its target is one class. A row without a label (-1) adds nothing to label terms,
// dkd included: value and gradient are 0, and the mean is over all N rows still. Any other label
// outside [0, K) makes total NaN: the loader checks labels, the kernel never reads there.
DistillLoss distill_loss(Graph&, const DistillLossInputs&, const DistillLossAttrs&,
                         std::string name = {});

}  // namespace kd
