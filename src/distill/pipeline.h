// The training step and the evaluation step: the only place here that sees Streams and Programs.
#pragma once

#include <memory>
#include <optional>

#include "distill/variables.h"
#include "kd/config.h"
#include "kd/data.h"

namespace kd {

struct StepResult {
  double loss = 0;
  std::array<double, kLossTerms> terms{};
  int64_t correct = 0;
};

// A model at work on batches of one size: weights fixed (a teacher, folded) or bound to Variables
// (a student).
class Predictor {
 public:
  Predictor(const Model& model, Backend& backend, int64_t batch);  // folded, weights copied
  Predictor(const Model& model, Backend& backend, int64_t batch, const Variables& weights);

  Tensor images() const { return program_.tensor(graph_input_); }
  Tensor logits() const { return program_.tensor(graph_logits_); }
  void run(Stream& stream) { program_.run(stream); }
  void weights_changed() { program_.weights_changed(); }
  const Program& program() const { return program_; }
  Program& program() { return program_; }

 private:
  Value graph_input_, graph_logits_;
  Program program_;
};

class TrainingStep {
 public:
  // teacher may be null. One step takes `batch` pictures.
  TrainingStep(const Model& student, const Model* teacher, const RunConfig& config,
               Backend& backend);

  StepResult run(const Batch& batch, double lr, int64_t step);
  Variables& variables() { return variables_; }
  size_t arena_bytes() const;
  int reorders() const { return program_->reorders_per_run(); }
  const Program& program() const { return *program_; }
  const Predictor* teacher() const { return teacher_ ? &*teacher_ : nullptr; }
  Predictor* teacher() { return teacher_ ? &*teacher_ : nullptr; }
  Program& program() { return *program_; }
  Stream& stream() { return *stream_; }

 private:
  void build(const Model& student, const RunConfig& config);

  Backend& backend_;
  std::unique_ptr<Stream> stream_;
  std::optional<Predictor> teacher_;
  Variables variables_;
  std::optional<Program> program_, optimizer_;
  Tensor images_, labels_, key_, lr_, total_, terms_, correct_;
  int64_t seed_;
};

// Top-1 and mean cross entropy of a predictor over a whole data set.
struct Evaluation {
  int64_t count = 0, top1 = 0, top5 = 0;
  double loss = 0, seconds = 0;
  double top1_percent() const {
    return count ? 100.0 * static_cast<double>(top1) / static_cast<double>(count) : 0;
  }
  double top5_percent() const {
    return count ? 100.0 * static_cast<double>(top5) / static_cast<double>(count) : 0;
  }
};
// `each`, if given, sees every batch after its logits are there; it may return false to stop early.
using EachBatch = std::function<bool(const Batch&, const float* logits)>;
Evaluation evaluate(Predictor& predictor, Backend& backend, Loader& loader,
                    const EachBatch& each = {});

}  // namespace kd
