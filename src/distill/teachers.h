// The teachers of a stage at work on one batch: their forward passes, the mix of their logits, and
// the layers that terms read.
#pragma once

#include <optional>

#include "distill/predictor.h"
#include "distill/step_graph.h"
#include "kd/config.h"

namespace kd {

// Which of a run's `count` teachers a stage is taught by.
std::vector<int64_t> teachers_in_use(const StageConfig& stage, size_t count);

class Teachers {
 public:
  // `shares`: f32 (teachers in use), the weight of each, which may change from step to step.
  // given: no teacher runs, given(i) is filled from outside.
  enum class Source : uint8_t { programs, given };
  Teachers(const std::vector<const Model*>& models, const RunConfig& stage,
           const std::vector<TaughtLayer>& taught, Backend& backend, const Tensor& shares,
           Source source = Source::programs);

  Source source() const { return source_; }
  const std::vector<Tensor>& given() const { return given_; }  // f32 (batch, classes) of used()[i]

  // Those of the run that are used: the ones in the mix, then those that are only tapped.
  const std::vector<int64_t>& used() const { return used_; }
  Tensor images(size_t i) const { return predictors_.at(i).images(); }  // of used()[i]
  void run(Stream& stream);
  Tensor logits() const { return logits_; }                      // f32 (batch, classes), mixed
  const std::vector<Tensor>& taught() const { return taught_; }  // in the order given
  size_t arena_bytes() const;
  std::vector<Predictor>& predictors() { return predictors_; }
  const std::vector<Predictor>& predictors() const { return predictors_; }
  Program* mix() { return mix_ ? &*mix_ : nullptr; }  // null: one teacher

 private:
  Tensor own_logits(size_t i) const {
    return source_ == Source::given ? given_.at(i) : predictors_.at(i).logits();
  }
  void build_mix(const RunConfig& stage, size_t mixed, Backend& backend, const Tensor& shares);

  Source source_;
  std::vector<int64_t> used_;
  std::vector<Tensor> given_;
  std::vector<Predictor> predictors_;
  std::optional<Program> mix_;  // empty: one teacher
  Tensor logits_;
  std::vector<Tensor> taught_;
};

// The mix in base ops: logits (N, K) of each teacher and shares (T) -> (N, K).
//   logits         sum_n w_n t_n, w = shares / sum of shares
//   probabilities  T log sum_n w_n softmax(t_n / T): what the kl term at this T then sees is the
//                  mean of the teachers' softened probabilities
//   confidence     likewise at T, with the shares of each picture multiplied by how sure the
//                  teacher is of it, sum_k softmax(t_n)_k^2
struct Mix {
  std::string kind;  // as --teacher-mix
  double temperature = 1;
};
Value mix_logits(Graph& graph, const std::vector<Value>& logits, Value shares, const Mix& mix);

}  // namespace kd
