// What engines read from a distill_loss node: its parameters as kernels take them, and its inputs.
#pragma once

#include "kd/backend.h"
#include "kd/distill_ops.h"
#include "kernels/distill_terms.h"

namespace kd {

inline kernels::DistillParams distill_params(const DistillLossAttrs& a) {
  kernels::DistillParams p;
  size_t term = 0;
  p.each_weight([&](double& weight) { weight = a.weight[term++]; });
  p.smoothing = a.label_smoothing;
  p.temperature = a.temperature;
  p.mse_centred = a.mse_centred;
  p.margin = a.margin;
  p.margin_temperature = a.margin_temperature;
  p.margin_normalised = a.margin_weights == MarginWeights::normalised;
  p.literal_margin = a.literal_margin;
  p.literal_beta = a.literal_beta;
  p.teacher_soft = a.teacher_target == TeacherTarget::softmax;
  p.mix_label = a.mix_label, p.mix_teacher = a.mix_teacher;
  p.dkd_alpha = a.dkd_alpha, p.dkd_beta = a.dkd_beta, p.dkd_temperature = a.dkd_temperature;
  p.standard_temperature = a.standard_temperature;
  p.js_temperature = a.js_temperature;
  p.spherical_temperature = a.spherical_temperature;
  p.spherical_multiplier = a.spherical_multiplier;
  return p;
}

// An input's elements, or null where the node has none.
template <class T>
const T* loss_input(const Pointers& p, const DistillLossAttrs& attrs, LossInput input) {
  const auto place = attrs.place_of(input);
  return place ? static_cast<const T*>(p.inputs[*place]) : nullptr;
}

}  // namespace kd
