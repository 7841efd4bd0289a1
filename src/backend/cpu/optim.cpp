// Optimiser updates over flat arenas, in f32 and with 16-bit copies, and what a step counts.
#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu.h"

namespace kd::cpu {
namespace {

struct Rule {  // of SGD
  float momentum, decay;
  bool nesterov;
  int64_t decayed;

  explicit Rule(const SgdAttrs& attrs)
      : momentum(static_cast<float>(attrs.momentum)),
        decay(static_cast<float>(attrs.weight_decay)),
        nesterov(attrs.nesterov),
        decayed(attrs.decay_elements) {}
  void apply(int64_t i, float gradient, float lr, float& w, float& velocity) const {
    float g = gradient + (i < decayed ? decay : 0.0f) * w;
    velocity = momentum * velocity + g;
    g = nesterov ? g + momentum * velocity : velocity;
    w -= lr * g;
  }
};

// 16-bit floats of either kind.
class Low {
 public:
  explicit Low(DType dtype) : half_(dtype == DType::f16) {}
  float get(const uint16_t* at) const { return half_ ? f16_to_f32(*at) : bf16_to_f32(*at); }
  uint16_t put(float value) const { return half_ ? f32_to_f16(value) : f32_to_bf16(value); }

 private:
  bool half_;
};

// Reads element i of a gradient of any float type.
struct Gradient {
  DType dtype;
  float at(const void* data, int64_t i) const {
    if (dtype == DType::f32) return static_cast<const float*>(data)[i];
    return Low(dtype).get(static_cast<const uint16_t*>(data) + i);
  }
};

bool all_finite(const float* squares) {
  float sum = 0;
  for (int64_t i = 0; i < kGradientPartials; ++i) sum += squares[i];
  return std::isfinite(sum);
}

}  // namespace

StepPtr prepare_sgd_update(const PrepareRequest& request) {
  const int64_t count = in_shape(request, 0).elements();
  const Rule rule(request.node.attr<SgdAttrs>());
  return make_step([=](const Pointers& p) {
    auto *w = in<float>(p, 0), *velocity = in<float>(p, 2);
    const auto* gradient = in<float>(p, 1);
    const float lr = *in<float>(p, 3);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; ++i) rule.apply(i, gradient[i], lr, w[i], velocity[i]);
  });
}

// Part b covers the elements b, b + kGradientPartials, ... of both gradients in a row.
StepPtr prepare_gradient_squares(const PrepareRequest& request) {
  const Gradient low{request.graph.desc(request.node.inputs[0]).dtype};
  const int64_t lows = in_shape(request, 0).elements(), highs = in_shape(request, 1).elements();
  return make_step([=](const Pointers& p) {
#pragma omp parallel for schedule(static)
    for (int64_t part = 0; part < kGradientPartials; ++part) {
      float sum = 0;
      for (int64_t i = part; i < lows + highs; i += kGradientPartials) {
        const float g = i < lows ? low.at(p.inputs[0], i) : in<float>(p, 1)[i - lows];
        sum += g * g;
      }
      out<float>(p, 0)[part] = sum;
    }
  });
}

StepPtr prepare_sgd_update_mixed(const PrepareRequest& request) {
  const int64_t count = in_shape(request, 0).elements(), lows = in_shape(request, 2).elements();
  const Gradient low{request.graph.desc(request.node.inputs[3]).dtype};
  const bool copies = low.dtype != DType::f32;
  const Rule rule(request.node.attr<SgdAttrs>());
  return make_step([=](const Pointers& p) {
    if (!all_finite(in<float>(p, 5))) return;
    const float lr = *in<float>(p, 6), unscale = 1 / *in<float>(p, 7);
    auto *w = in<float>(p, 0), *velocity = in<float>(p, 1);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; ++i) {
      const float g = i < lows ? low.at(p.inputs[3], i) : in<float>(p, 4)[i - lows];
      rule.apply(i, g * unscale, lr, w[i], velocity[i]);
      if (i >= lows) continue;
      if (copies) {
        in<uint16_t>(p, 2)[i] = Low(low.dtype).put(w[i]);
      } else {
        in<float>(p, 2)[i] = w[i];
      }
    }
  });
}

StepPtr prepare_loss_scale_update(const PrepareRequest& request) {
  const auto attrs = request.node.attr<LossScaleAttrs>();
  return make_step([=](const Pointers& p) {
    auto* scale = in<float>(p, 1);
    auto* counters = in<int32_t>(p, 2);
    if (!all_finite(in<float>(p, 0))) {
      *scale =
          std::max(static_cast<float>(attrs.least), *scale * static_cast<float>(attrs.backoff));
      counters[0] = 0;
      ++counters[1];
    } else if (++counters[0] >= attrs.interval) {
      *scale = std::min(static_cast<float>(attrs.most), *scale * static_cast<float>(attrs.growth));
      counters[0] = 0;
    }
  });
}

StepPtr prepare_advance_step(const PrepareRequest& request) {
  const int64_t rows = in_shape(request, 2)[0], columns = in_shape(request, 2)[1];
  return make_step([=](const Pointers& p) {
    auto* key = in<int64_t>(p, 0);
    ++key[1];
    const int64_t at = std::clamp<int64_t>(key[1], 0, rows - 1);
    std::copy_n(in<float>(p, 2) + at * columns, columns, in<float>(p, 1));
  });
}

}  // namespace kd::cpu
