// Products of samples with chosen rows of a memory bank, which rows are chosen, and their update.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu.h"
#include "kd/random.h"

namespace kd::cpu {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

float dot(const float* a, const float* b, int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

// What draws the negatives of one sample.
struct Draw {
  uint64_t seed, tensor_and_row;
  uint32_t step, population;
  int32_t own;
  const int32_t* labels;  // of all samples, or none

  bool is_negative(uint32_t id) const {
    if (own < 0 || static_cast<uint32_t>(own) >= population) return true;
    return static_cast<uint32_t>(own) != id && (labels == nullptr || labels[own] != labels[id]);
  }
  std::array<uint32_t, 4> ids(int64_t group, uint32_t attempt) const {  // of four neighbours
    auto words = random_words(seed, Purpose::negatives, step, tensor_and_row,
                              static_cast<uint32_t>(group) * kNegativeTries + attempt);
    for (uint32_t& word : words) {
      word = static_cast<uint32_t>((uint64_t{word} * population) >> 32);
    }
    return words;
  }
};

void draw_row(const Draw& draw, int64_t count, int32_t* to) {
  for (int64_t group = 0; group * 4 < count; ++group) {
    const auto first = draw.ids(group, 0);
    const auto here = static_cast<size_t>(std::min<int64_t>(count - group * 4, 4));
    for (size_t k = 0; k < here; ++k) {
      uint32_t id = first[k];
      for (uint32_t attempt = 1; attempt < kNegativeTries && !draw.is_negative(id); ++attempt) {
        id = draw.ids(group, attempt)[k];
      }
      to[group * 4 + static_cast<int64_t>(k)] = static_cast<int32_t>(id);
    }
  }
}

// row = (m row + (1 - m) features) / its norm.
void move_row(float* row, const float* features, int64_t count, float momentum) {
  double squares = 0;
  for (int64_t i = 0; i < count; ++i) {
    row[i] = momentum * row[i] + (1 - momentum) * features[i];
    squares += double{row[i]} * double{row[i]};
  }
  const auto scale = static_cast<float>(squares > 0 ? 1 / std::sqrt(squares) : 1);
  for (int64_t i = 0; i < count; ++i) row[i] *= scale;
}

}  // namespace

StepPtr prepare_gather_dot(const PrepareRequest& request) {
  const int64_t features = in_shape(request, 0)[1], rows = in_shape(request, 1)[0];
  const int64_t each = in_shape(request, 2)[1], count = out_shape(request, 0).elements();
  return make_step([=](const Pointers& p) {
    const auto *x = in<float>(p, 0), *bank = in<float>(p, 1);
    const auto* index = in<int32_t>(p, 2);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = index[i];
      const bool valid = row >= 0 && row < rows;
      out<float>(p, 0)[i] =
          valid ? dot(x + i / each * features, bank + row * features, features) : kNaN;
    }
  });
}

StepPtr prepare_gather_dot_backward(const PrepareRequest& request) {
  const int64_t features = in_shape(request, 1)[1], rows = in_shape(request, 1)[0];
  const int64_t batch = in_shape(request, 0)[0], each = in_shape(request, 0)[1];
  return make_step([=](const Pointers& p) {
    const auto* bank = in<float>(p, 1);
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < batch; ++b) {
      const float* dy = in<float>(p, 0) + b * each;
      const int32_t* index = in<int32_t>(p, 2) + b * each;
      float* dx = out<float>(p, 0) + b * features;
      std::fill_n(dx, features, 0.0f);
      for (int64_t j = 0; j < each; ++j) {
        const bool valid = index[j] >= 0 && index[j] < rows;
        const float weight = valid ? dy[j] : kNaN;
        const float* row = bank + (valid ? index[j] : 0) * features;
#pragma omp simd
        for (int64_t i = 0; i < features; ++i) dx[i] += weight * row[i];
      }
    }
  });
}

StepPtr prepare_sample_negatives(const PrepareRequest& request) {
  const auto attrs = request.node.attr<NegativesAttrs>();
  const int64_t batch = in_shape(request, 1)[0];
  const bool labelled = request.node.inputs.size() == 3;
  return make_step([=](const Pointers& p) {
    const auto* key = in<int64_t>(p, 0);
    const auto* ids = in<int32_t>(p, 1);
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < batch; ++b) {
      int32_t* row = out<int32_t>(p, 0) + b * (1 + attrs.count);
      row[0] = ids[b];
      const auto tensor_and_row = static_cast<uint64_t>(attrs.tensor_id << 32 | b);
      draw_row(
          {static_cast<uint64_t>(key[0]), tensor_and_row, static_cast<uint32_t>(key[1]),
           static_cast<uint32_t>(attrs.population), ids[b], labelled ? in<int32_t>(p, 2) : nullptr},
          attrs.count, row + 1);
    }
  });
}

StepPtr prepare_bank_update(const PrepareRequest& request) {
  const Shape bank = in_shape(request, 0);
  const int64_t rows = bank[0], features = bank[1], batch = in_shape(request, 1)[0];
  const auto momentum = static_cast<float>(request.node.attr<BankUpdateAttrs>().momentum);
  return make_step([=](const Pointers& p) {
    const auto* ids = in<int32_t>(p, 1);
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < batch; ++b) {
      const bool replaced = std::find(ids + b + 1, ids + batch, ids[b]) != ids + batch;
      if (replaced || ids[b] < 0 || ids[b] >= rows) continue;
      move_row(in<float>(p, 0) + ids[b] * features, in<float>(p, 2) + b * features, features,
               momentum);
    }
  });
}

}  // namespace kd::cpu
