// Rows of logits, and dropout.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu.h"
#include "kd/random.h"

namespace kd::cpu {
namespace {

template <class Finish>
StepPtr prepare_softmax_rows(const PrepareRequest& request, Finish finish) {
  const Shape x = in_shape(request, 0);
  const int64_t rows = x[0], k = x[1];
  const double temperature = request.node.attr<SoftmaxAttrs>().temperature;
  return make_step([=](const Pointers& p) {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; ++row) {
      const float* at = in<float>(p, 0) + row * k;
      float* y = out<float>(p, 0) + row * k;
      const double top = *std::max_element(at, at + k);
      double sum = 0;
      for (int64_t i = 0; i < k; ++i) sum += std::exp((at[i] - top) / temperature);
      for (int64_t i = 0; i < k; ++i) y[i] = finish((at[i] - top) / temperature, sum);
    }
  });
}

// dx_i = finish(y_i, dy_i, sum of what `add` makes of them) / T, row by row.
template <class Add, class Finish>
StepPtr prepare_softmax_gradients(const PrepareRequest& request, Add add, Finish finish) {
  const Shape shape = in_shape(request, 0);
  const int64_t rows = shape[0], k = shape[1];
  const double temperature = request.node.attr<SoftmaxAttrs>().temperature;
  return make_step([=](const Pointers& p) {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; ++row) {
      const float *dy = in<float>(p, 0) + row * k, *y = in<float>(p, 1) + row * k;
      float* dx = out<float>(p, 0) + row * k;
      double sum = 0;
      for (int64_t i = 0; i < k; ++i) sum += add(double{dy[i]}, double{y[i]});
      for (int64_t i = 0; i < k; ++i) {
        dx[i] = static_cast<float>(finish(double{dy[i]}, double{y[i]}, sum) / temperature);
      }
    }
  });
}

}  // namespace

StepPtr prepare_softmax(const PrepareRequest& request) {
  return prepare_softmax_rows(
      request, [](double z, double sum) { return static_cast<float>(std::exp(z) / sum); });
}
StepPtr prepare_log_softmax(const PrepareRequest& request) {
  return prepare_softmax_rows(
      request, [](double z, double sum) { return static_cast<float>(z - std::log(sum)); });
}

StepPtr prepare_softmax_backward(const PrepareRequest& request) {
  return prepare_softmax_gradients(
      request, [](double dy, double y) { return dy * y; },
      [](double dy, double y, double sum) { return y * (dy - sum); });
}
StepPtr prepare_log_softmax_backward(const PrepareRequest& request) {
  return prepare_softmax_gradients(
      request, [](double dy, double) { return dy; },
      [](double dy, double y, double sum) { return dy - std::exp(y) * sum; });
}

StepPtr prepare_one_hot(const PrepareRequest& request) {
  const Shape y = out_shape(request, 0);
  const int64_t rows = y[0], k = y[1];
  const double smoothing = request.node.attr<OneHotAttrs>().smoothing;
  const auto off = static_cast<float>(smoothing / static_cast<double>(k));
  const auto on = static_cast<float>(1 - smoothing + smoothing / static_cast<double>(k));
  return make_step([=](const Pointers& p) {
    const auto* labels = in<int32_t>(p, 0);
    for (int64_t row = 0; row < rows; ++row) {
      float* at = out<float>(p, 0) + row * k;
      const bool valid = labels[row] >= 0 && labels[row] < k;
      const float otherwise = labels[row] == -1 ? 0 : std::numeric_limits<float>::quiet_NaN();
      std::fill_n(at, k, valid ? off : otherwise);
      if (valid) at[labels[row]] = on;
    }
  });
}

StepPtr prepare_arg_max(const PrepareRequest& request) {
  const Shape x = in_shape(request, 0);
  const int64_t rows = x[0], k = x[1];
  return make_step([=](const Pointers& p) {
#pragma omp parallel for schedule(static) if (rows * k > 4096)
    for (int64_t row = 0; row < rows; ++row) {
      const float* at = in<float>(p, 0) + row * k;
      float greatest = -std::numeric_limits<float>::infinity();
      int64_t first = 0;
      for (int64_t i = 0; i < k; ++i) {
        if (at[i] > greatest) greatest = at[i], first = i;
      }
      out<int32_t>(p, 0)[row] = static_cast<int32_t>(first);
    }
  });
}

StepPtr prepare_top_k_correct(const PrepareRequest& request) {
  const Shape x = in_shape(request, 0);
  const int64_t rows = x[0], classes = x[1];
  const int k = request.node.attr<TopKAttrs>().k;
  return make_step([=](const Pointers& p) {
    const auto* labels = in<int32_t>(p, 1);
    int32_t correct = 0;
    for (int64_t row = 0; row < rows; ++row) {
      if (labels[row] < 0 || labels[row] >= classes) continue;
      const float* at = in<float>(p, 0) + row * classes;
      const float own = at[labels[row]];
      // Not "own is below": a NaN among the logits must not count as right.
      const auto beats =
          std::count_if(at, at + classes, [&](float other) { return !(other < own); });
      if (beats <= k) ++correct;
    }
    *out<int32_t>(p, 0) = correct;
  });
}

StepPtr prepare_dropout(const PrepareRequest& request) {
  const int64_t count = out_shape(request, 0).elements();
  const auto attrs = request.node.attr<DropoutAttrs>();
  if (request.node.inputs.size() == 1) return prepare_stop_gradient(request);  // inference
  const double rate = attrs.rate;
  const auto scale = static_cast<float>(1 / (1 - rate));
  return make_step([=](const Pointers& p) {
    const auto* key = in<int64_t>(p, 1);
    const auto seed = static_cast<uint64_t>(key[0]);
    const auto step = static_cast<uint32_t>(key[1]);
#pragma omp parallel for schedule(static)
    for (int64_t group = 0; group < (count + 3) / 4; ++group) {
      const auto words =
          random_words(seed, Purpose::dropout, step, static_cast<uint64_t>(attrs.tensor_id),
                       static_cast<uint32_t>(group));
      for (int64_t i = group * 4; i < std::min(count, group * 4 + 4); ++i) {
        const bool kept = static_cast<double>(uniform01(words[static_cast<size_t>(i % 4)])) >= rate;
        out<float>(p, 0)[i] = kept ? in<float>(p, 0)[i] * scale : 0.0f;
      }
    }
  });
}

}  // namespace kd::cpu
