// What the tests of the fused loss share: random problems, the kernel on them, and the terms'
// definitions in float64 with the errors that are allowed.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <random>
#include <vector>

#include "kernels/distill_loss.h"
#include "kernels/kd_cuda.h"
#include "kernels/numeric.cuh"
#include "oracle/distill.h"

namespace kd::kernels {

using oracle::Array;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr size_t kTerms = 11;

struct Problem {
  int64_t rows = 0, classes = 0;
  DistillParams params;
  Array s, t, labels;
  Array partners = {}, shares = {}, term_weights = {};  // where they are given
  double scale = 1;
  int64_t misaligned = 0;  // elements, of the pointers
};

struct Result {
  float total = 0;
  std::vector<float> terms = std::vector<float>(kTerms);
  std::vector<double> gradient;
};

struct Want {
  double total = 0, magnitude = 0;  // sum of |weight term|
  std::vector<double> terms = std::vector<double>(kTerms), gradient;
};

// --- data ---------------------------------------------------------------------------------------

inline std::mt19937_64& random_bits() {
  static std::mt19937_64 bits(20);
  return bits;
}
inline double normal(double scale) {
  return std::normal_distribution<double>(0, scale)(random_bits());
}
inline double uniform(double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(random_bits());
}

// Student logits with outliers, positive teacher logits, labels.
inline Problem problem(int64_t rows, int64_t classes) {
  random_bits().seed(static_cast<uint64_t>(classes * 31 + rows));
  Problem p{rows, classes, {}, {}, {}, {}, {}, {}, {}};
  p.s = p.t = Array::zeros({rows, classes}), p.labels = Array::zeros({rows});
  for (int64_t i = 0; i < rows * classes; ++i) {
    p.s.at(i) = normal(i % 13 == 5 ? 8 : 2);
    p.t.at(i) = uniform(0.1, 9);
  }
  for (double& label : p.labels.data) {
    label = static_cast<double>(random_bits()() % static_cast<uint64_t>(classes));
  }
  return p;
}

template <class T>
void round_to(Array& values) {
  for (double& x : values.data)
    x = static_cast<double>(to_float(from_float<T>(static_cast<float>(x))));
}

// --- running ------------------------------------------------------------------------------------

// Elements of T at `misaligned` elements from a 16-byte boundary, alone on the heap so that reads
// beyond them are found.
template <class T>
struct Memory {
  Memory(int64_t count, int64_t misaligned)
      : bytes(new (std::align_val_t{16})
                  std::byte[static_cast<size_t>(count + misaligned) * sizeof(T)]),
        data(reinterpret_cast<T*>(bytes) + misaligned) {}
  ~Memory() { operator delete[](bytes, std::align_val_t{16}); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  std::byte* bytes;
  T* data;
};

template <class T>
Result run(const Problem& p, Type type) {
  const int64_t count = p.rows * p.classes;
  Memory<T> s(count, p.misaligned), t(count, p.misaligned), gradient(count, p.misaligned);
  for (int64_t i = 0; i < count; ++i) {
    s.data[i] = from_float<T>(static_cast<float>(p.s.at(i)));
    t.data[i] = from_float<T>(p.t.data.empty() ? NAN : static_cast<float>(p.t.at(i)));
    gradient.data[i] = from_float<T>(NAN);
  }
  const auto whole = [](const Array& of) {
    return std::vector<int32_t>(of.data.begin(), of.data.end());
  };
  const auto floats = [](const Array& of) {
    return std::vector<float>(of.data.begin(), of.data.end());
  };
  const std::vector<int32_t> labels = whole(p.labels), partners = whole(p.partners);
  const std::vector<float> shares = floats(p.shares), term_weights = floats(p.term_weights);
  const auto scale = static_cast<float>(p.scale);
  std::vector<float> workspace(distill_loss_workspace(p.rows) / sizeof(float), NAN);
  Result result;
  DistillLossArgs args;
  args.type = type, args.rows = p.rows, args.classes = p.classes;
  args.student = s.data;
  if (!p.t.data.empty()) args.teacher = t.data;
  if (!labels.empty()) args.labels = labels.data();
  if (!partners.empty()) args.partner_labels = partners.data(), args.shares = shares.data();
  if (!term_weights.empty()) args.term_weights = term_weights.data();
  if (p.scale != 1) args.loss_scale = &scale;
  args.params = p.params;
  args.dlogits = gradient.data;
  args.total = &result.total, args.terms = result.terms.data();
  args.workspace = workspace.data();
  distill_loss({}, args);
  for (int64_t i = 0; i < count; ++i) {
    result.gradient.push_back(static_cast<double>(to_float(gradient.data[i])));
  }
  return result;
}

inline Result run(const Problem& p, Type type = Type::f32) {
  if (type == Type::f16) return run<f16>(p, type);
  return type == Type::bf16 ? run<bf16>(p, type) : run<float>(p, type);
}

inline Want expected(const Problem& p) {
  const DistillParams& w = p.params;
  Want want;
  want.gradient.resize(p.s.data.size());
  const auto add = [&](size_t place, double weight, const auto& define) {
    if (weight == 0) return;
    const oracle::Term term = define();
    want.terms[place] = term.value;
    if (!p.term_weights.data.empty()) weight *= p.term_weights.data[place];
    want.total += weight * term.value;
    want.magnitude += std::abs(weight * term.value);
    for (size_t i = 0; i < want.gradient.size(); ++i) {
      want.gradient[i] += p.scale * weight * term.gradient.data[i];
    }
  };
  const oracle::Labels labels{p.labels, p.partners, p.shares};
  add(0, w.ce, [&] { return oracle::cross_entropy(p.s, labels, w.smoothing); });
  add(1, w.kl, [&] { return oracle::kl(p.s, p.t, w.temperature); });
  add(2, w.mse, [&] { return oracle::squared_error(p.s, p.t, w.mse_centred); });
  add(3, w.lse_margin, [&] {
    return oracle::lse_margin(p.s, p.t, w.margin, w.margin_normalised ? 0 : w.margin_temperature);
  });
  add(4, w.literal,
      [&] { return oracle::lse_margin_literal(p.s, p.t, w.literal_margin, w.literal_beta); });
  add(5, w.teacher_ce, [&] { return oracle::teacher_cross_entropy(p.s, p.t, w.teacher_soft); });
  add(6, w.hard_mix, [&] {
    return oracle::hard_mix(p.s, p.t, labels, {w.mix_label, w.mix_teacher});
  });
  add(7, w.dkd, [&] {
    return oracle::decoupled(p.s, p.t, p.labels, {w.dkd_alpha, w.dkd_beta, w.dkd_temperature});
  });
  add(8, w.logit_std, [&] { return oracle::standardised_kl(p.s, p.t, w.standard_temperature); });
  add(9, w.js, [&] { return oracle::jeffreys(p.s, p.t, w.js_temperature); });
  add(10, w.spherical, [&] {
    return oracle::spherical_kl(p.s, p.t, w.spherical_temperature, w.spherical_multiplier);
  });
  return want;
}

// Relative errors of 1e-6 for values, and 2e-6 of the greatest |gradient|, plus what storing a
// gradient in 16 bits rounds.
constexpr double kValueError = 1e-6, kGradientError = 2e-6, kNothing = 1e-12;

inline void compare(const Result& got, const Want& want, Type type = Type::f32) {
  for (size_t i = 0; i < kTerms; ++i) {
    EXPECT_NEAR(got.terms[i], want.terms[i], kNothing + kValueError * std::abs(want.terms[i]))
        << "term " << i;
  }
  EXPECT_NEAR(got.total, want.total, kNothing + kValueError * want.magnitude);
  double greatest = 0;
  for (const double g : want.gradient) greatest = std::max(greatest, std::abs(g));
  const double rounding = type == Type::f16 ? 0x1p-11 : type == Type::bf16 ? 0x1p-8 : 0;
  const double least = type == Type::f16 ? 0x1p-24 : kNothing;
  int wrong = 0;
  for (size_t i = 0; i < want.gradient.size() && wrong < 4; ++i) {
    const double allowed =
        kGradientError * greatest + rounding * std::abs(want.gradient[i]) + least;
    const bool right = std::abs(got.gradient[i] - want.gradient[i]) <= allowed;
    EXPECT_TRUE(right) << "gradient " << i << ": " << got.gradient[i] << ", expected "
                       << want.gradient[i] << ", greatest " << greatest;
    wrong += !right;
  }
}

inline void check(Problem p, Type type = Type::f32) {
  SCOPED_TRACE(testing::Message() << p.rows << " x " << p.classes << ", type "
                                  << static_cast<int>(type));
  if (type == Type::f16) round_to<f16>(p.s), round_to<f16>(p.t);
  if (type == Type::bf16) round_to<bf16>(p.s), round_to<bf16>(p.t);
  if (type == Type::f32) round_to<float>(p.s), round_to<float>(p.t);
  p.scale = static_cast<double>(static_cast<float>(p.scale));
  compare(run(p, type), expected(p), type);
}

// --- sets of terms
// ---------------------------------------------------------

inline DistillParams ce_only() { return {.ce = 1}; }
inline DistillParams ce_and_kl() { return {.ce = 0.1, .kl = 0.9, .smoothing = 0.1}; }
inline DistillParams kl_only() { return {.kl = 1, .temperature = 3}; }
inline DistillParams every_term() {
  return {.ce = 0.1,
          .kl = 0.9,
          .mse = 0.3,
          .lse_margin = 0.5,
          .literal = 0.2,
          .smoothing = 0.1,
          .mse_centred = true};
}
// Of distill_pairs.h, alone and together.
inline constexpr int kPairSets = 9;
inline DistillParams pairs(int which) {
  if (which == 0) return {.teacher_ce = 1};
  if (which == 1) return {.teacher_ce = 1, .teacher_soft = true};
  if (which == 2) return {.hard_mix = 1};
  if (which == 3) return {.dkd = 1};
  if (which == 4) return {.logit_std = 1};
  if (which == 5) return {.js = 1};
  if (which == 6) return {.spherical = 1};
  if (which == 7) return {.ce = 0.1, .logit_std = 9, .smoothing = 0.1};
  DistillParams all = every_term();
  all.teacher_ce = 0.3, all.hard_mix = 0.2, all.dkd = 0.5, all.logit_std = 0.7, all.js = 0.6;
  all.spherical = 0.8;
  return all;
}
inline DistillParams others(int which) {
  if (which == 0) return {.mse = 1};
  if (which == 1) return {.mse = 0.5, .lse_margin = 1, .mse_centred = true};
  if (which == 2) return {.ce = 0.4, .lse_margin = 1, .margin = 3, .margin_normalised = true};
  return {.literal = 1};
}

}  // namespace kd::kernels
