// What engines read from a distill_loss node: its parameters as kernels take them, and which input
// is what.
#pragma once

#include "kd/backend.h"
#include "kd/ops.h"
#include "kernels/distill_terms.h"

namespace kd {

// Weights are multiplied by `scale`.
inline kernels::DistillParams distill_params(const DistillLossAttrs& a, double scale) {
  const auto weight = [&](LossTerm term) { return a.weight[static_cast<size_t>(term)] * scale; };
  kernels::DistillParams p;
  p.ce = weight(LossTerm::ce);
  p.kl = weight(LossTerm::kl);
  p.mse = weight(LossTerm::mse);
  p.lse_margin = weight(LossTerm::lse_margin);
  p.literal = weight(LossTerm::lse_margin_literal);
  p.smoothing = a.label_smoothing;
  p.temperature = a.temperature;
  p.mse_centred = a.mse_centred;
  p.margin = a.margin;
  p.margin_temperature = a.margin_temperature;
  p.margin_normalised = a.margin_weights == MarginWeights::normalised;
  p.literal_margin = a.literal_margin;
  p.literal_beta = a.literal_beta;
  return p;
}

struct DistillInputs {  // places among the inputs; 0: there is none
  size_t teacher = 0, labels = 0, scale = 0;
};
inline DistillInputs distill_inputs(const PrepareRequest& request) {
  DistillInputs places;
  for (size_t i = 1; i < request.node.inputs.size(); ++i) {
    const TensorDesc& desc = request.graph.desc(request.node.inputs[i]);
    (desc.dtype == DType::i32 ? places.labels
     : desc.shape.rank() == 1 ? places.scale
                              : places.teacher) = i;
  }
  return places;
}

}  // namespace kd
