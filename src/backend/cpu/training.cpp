// What stands beside the update of an arena: norms, sums and averages, and what a step counts.
#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu.h"
#include "backend/cpu/flat.h"

namespace kd::cpu {

// Part p is the p-th of equal pieces of both gradients in a row.
StepPtr prepare_gradient_squares(const PrepareRequest& request) {
  const size_t last = request.node.inputs.size() - 1;  // the high gradient
  const FloatType low{request.graph.desc(request.node.inputs[0]).dtype};
  const int64_t lows = last == 0 ? 0 : in_shape(request, 0).elements();
  const int64_t count = lows + in_shape(request, last).elements();
  const int64_t each = (count + kGradientPartials - 1) / kGradientPartials;
  return make_step([=](const Pointers& p) {
    const Gradients gradients{p.inputs[0], low, lows, in<float>(p, last)};
#pragma omp parallel for schedule(static)
    for (int64_t part = 0; part < kGradientPartials; ++part) {
      float buffer[kBlock], sum = 0;
      const int64_t end = std::min(count, (part + 1) * each);
      for (int64_t at = part * each; at < end; at += kBlock) {
        const int64_t size = std::min(kBlock, end - at);
        sum += sum_of_squares(gradients.read(at, size, buffer), size);
      }
      out<float>(p, 0)[part] = sum;
    }
  });
}

StepPtr prepare_gradient_accumulate(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<AccumulateAttrs>();
  const auto keep = static_cast<float>(attrs.keep), scale = static_cast<float>(attrs.scale);
  const FloatType gradient{request.graph.desc(request.node.inputs[1]).dtype};
  const int64_t count = in_shape(request, 0).elements();
  return make_step([=](const Pointers& p) {
    auto* sum = in<float>(p, 0);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; ++i) {
      const float g = scale * gradient.get(p.inputs[1], i);
      sum[i] = keep == 0 ? g : keep * sum[i] + g;
    }
  });
}

StepPtr prepare_ema_update(const PrepareRequest& request) {
  const auto take = static_cast<float>(1 - request.node.attr<EmaAttrs>().decay);
  const int64_t count = in_shape(request, 0).elements();
  return make_step([=](const Pointers& p) {
    auto* average = in<float>(p, 0);
    const auto* weights = in<float>(p, 1);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; ++i) average[i] += take * (weights[i] - average[i]);
  });
}

StepPtr prepare_max_norm(const PrepareRequest& request) {
  const auto limit = static_cast<float>(request.node.attr<MaxNormAttrs>().limit);
  const int64_t rows = in_shape(request, 0)[0];
  const int64_t columns = rows == 0 ? 0 : in_shape(request, 0).elements() / rows;
  const bool copied = request.node.inputs.size() == 2;
  const FloatType low{request.graph.desc(request.node.inputs.back()).dtype};
  return make_step([=](const Pointers& p) {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; ++row) {
      float* w = in<float>(p, 0) + row * columns;
      const float norm = std::sqrt(sum_of_squares(w, columns));
      if (norm > limit) {
        const float factor = limit / norm;
        for (int64_t i = 0; i < columns; ++i) w[i] *= factor;
      }
      for (int64_t i = 0; copied && i < columns; ++i) low.put(p.inputs[1], row * columns + i, w[i]);
    }
  });
}

StepPtr prepare_loss_scale_update(const PrepareRequest& request) {
  const auto attrs = request.node.attr<LossScaleAttrs>();
  return make_step([=](const Pointers& p) {
    auto* scale = in<float>(p, 1);
    auto* counters = in<int32_t>(p, 2);
    if (!std::isfinite(sum_of_partials(in<float>(p, 0)))) {
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
