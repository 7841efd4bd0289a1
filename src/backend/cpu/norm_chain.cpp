// The steps between the convolutions of a batch-norm chain: sums to scale and bias, and the input's
// gradient once its two sums are known.
#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu.h"
#include "kd/conv_chain.h"

namespace kd::cpu {

StepPtr prepare_norm_finalize(const PrepareRequest& request) {
  const auto attrs = request.node.attr<NormFinalizeAttrs>();
  const int64_t channels = in_shape(request, 0)[0];
  const auto count = static_cast<double>(attrs.count);
  const double unbiased = attrs.count > 1 ? count / (count - 1) : 1;
  return make_step([=](const Pointers& p) {
    const auto *sum = in<float>(p, 0), *squares = in<float>(p, 1);
    const auto *gamma = in<float>(p, 2), *beta = in<float>(p, 3);
    auto *running_mean = in<float>(p, 4), *running_var = in<float>(p, 5);
    const auto moved = [m = attrs.momentum](float running, double batch) {
      return static_cast<float>((1 - m) * static_cast<double>(running) + m * batch);
    };
    for (int64_t k = 0; k < channels; ++k) {
      const double mean = static_cast<double>(sum[k]) / count;
      const double difference = static_cast<double>(squares[k]) / count - mean * mean;
      const double var = difference < 0 ? 0 : difference;  // NaN stays NaN
      const double scale = static_cast<double>(gamma[k]) / std::sqrt(var + attrs.eps);
      out<float>(p, 0)[k] = static_cast<float>(mean);
      out<float>(p, 1)[k] = static_cast<float>(var);
      out<float>(p, 2)[k] = static_cast<float>(scale);
      out<float>(p, 3)[k] = static_cast<float>(static_cast<double>(beta[k]) - mean * scale);
      running_mean[k] = moved(running_mean[k], mean);
      running_var[k] = moved(running_var[k], unbiased * var);
    }
  });
}

// dx = dz a + (x - mean) b + c, with three constants a channel. dx may be dz's memory.
StepPtr prepare_norm_input_grad(const PrepareRequest& request) {
  const double eps = request.node.attr<NormInputGradAttrs>().eps;
  const Shape shape = in_shape(request, 0);
  const int64_t channels = shape[3], rows = shape[0] * shape[1] * shape[2];
  return make_step(
      [=](const Pointers& p) {
        const auto *dz = in<float>(p, 0), *x = in<float>(p, 1), *mean = in<float>(p, 3);
        auto* dx = out<float>(p, 0);
        auto* a = static_cast<float*>(p.workspace);
        float *b = a + channels, *c = b + channels;
        for (int64_t k = 0; k < channels; ++k) {
          const auto in_double = [&](size_t i) { return static_cast<double>(in<float>(p, i)[k]); };
          const double inverse = 1 / std::sqrt(in_double(4) + eps), scale = in_double(2) * inverse;
          const auto count = static_cast<double>(rows);
          a[k] = static_cast<float>(scale);
          b[k] = static_cast<float>(-scale * inverse * in_double(5) / count);
          c[k] = static_cast<float>(-scale * in_double(6) / count);
        }
#pragma omp parallel for schedule(static)
        for (int64_t row = 0; row < rows; ++row) {
          const int64_t at = row * channels;
          for (int64_t k = 0; k < channels; ++k) {
            dx[at + k] = dz[at + k] * a[k] + (x[at + k] - mean[k]) * b[k] + c[k];
          }
        }
      },
      static_cast<size_t>(channels) * 3 * sizeof(float));
}

}  // namespace kd::cpu
