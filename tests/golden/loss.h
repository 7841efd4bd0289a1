// The fused loss on the CPU engine, of rows written out in a test.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kd/backend.h"
#include "kd/objective.h"
#include "kd/program.h"

namespace kd {

using Rows = std::vector<float>;

struct Loss {
  double total;
  std::vector<float> terms, gradient;
};

// What a row may be given beside its logits; empty: it is not.
struct RowInputs {
  std::vector<int32_t> labels, partners = {};
  Rows shares = {}, term_weights = {};
};

inline Loss loss_of(const std::vector<TermSpec>& terms, const Rows& student, const Rows& teacher,
                    const RowInputs& with) {
  const auto n = static_cast<int64_t>(with.labels.size());
  const auto k = static_cast<int64_t>(student.size()) / n;
  Graph graph;
  const TensorDesc logits{DType::f32, {n, k}}, ids{DType::i32, {n}};
  DistillLossInputs in;
  in.student = graph.input("s", logits), in.teacher = graph.input("t", logits);
  in.labels = graph.input("y", ids);
  if (!with.partners.empty()) {
    in.partner_labels = graph.input("partners", ids);
    in.shares = graph.input("shares", {DType::f32, {n}});
  }
  if (!with.term_weights.empty()) {
    in.term_weights = graph.input("weights", {DType::f32, {kLossTerms}});
  }
  const DistillLoss loss = distill_loss(graph, in, resolve_objective(terms));
  const auto backend = make_backend(Device::cpu, {.threads = 2});
  const auto stream = backend->stream(Priority::normal);
  CompileOptions options;
  options.outputs = {loss.total, loss.terms, loss.dlogits};
  Program program = compile(std::move(graph), *backend, options);
  const auto give = [&]<class T>(Value v, const std::vector<T>& from) {
    if (v) std::copy(from.begin(), from.end(), program.tensor(v).template as<T>());
  };
  give(in.student, student), give(in.teacher, teacher), give(in.labels, with.labels);
  give(in.partner_labels, with.partners), give(in.shares, with.shares);
  give(in.term_weights, with.term_weights);
  program.run(*stream);
  const auto* values = program.tensor(loss.terms).as<float>();
  const auto* gradient = program.tensor(loss.dlogits).as<float>();
  return {*program.tensor(loss.total).as<float>(),
          {values, values + kLossTerms},
          {gradient, gradient + n * k}};
}
inline Loss loss_of(const std::vector<TermSpec>& terms, const Rows& student, const Rows& teacher,
                    const std::vector<int32_t>& labels) {
  return loss_of(terms, student, teacher, RowInputs{labels});
}

// Logits whose softmax at temperature 1 is 3/4, 1/4: log 3 apart.
inline const float kLog3 = std::log(3.0f);

}  // namespace kd
