// What one training step computes: the teacher's program, the student's (forward, fused loss,
// backward), and the update of the weights. When each runs is TrainingStep's business.
#pragma once

#include <memory>
#include <optional>

#include "distill/predictor.h"
#include "kd/config.h"

namespace kd {

class StepPrograms {
 public:
  // teacher may be null. `shared`: teacher and student read the same input and logits in one
  // memory, so they must not run at once. `rates`: the learning rate of each step, the last from
  // there on.
  StepPrograms(const Model& student, const Model* teacher, const RunConfig& config,
               Backend& backend, const std::vector<float>& rates, bool shared);

  Predictor* teacher() { return teacher_ ? &*teacher_ : nullptr; }
  const Predictor* teacher() const { return teacher_ ? &*teacher_ : nullptr; }
  void train(Stream& stream) {  // forward, loss, backward, update; counts the step
    student_->run(stream);
    update_->run(stream);
  }
  const Program& student() const { return *student_; }
  Program& student() { return *student_; }
  Program& update() { return *update_; }
  Variables& variables() { return *variables_; }

  Tensor images() const { return images_; }                  // the student's input
  Tensor labels() const { return labels_; }                  // i32 (batch)
  Tensor teacher_logits() const { return teacher_logits_; }  // f32 (batch, classes); may be empty

  // What a step leaves: one block of memory, read by unpack().
  struct Outcome {
    double loss = 0;
    std::array<double, kLossTerms> terms{};
    int64_t correct = 0, skipped = 0;  // skipped: steps so far whose gradients overflowed
    double loss_scale = 1;
  };
  Buffer outcome() const { return outcome_; }
  static Outcome unpack(const void* bytes);

  // The state that is neither weights nor statistics, for checkpoints: step count, loss scale.
  void seek(int64_t step, Stream& stream);
  std::map<std::string, Tensor> fetch_scale(Stream& stream) const;
  void restore_scale(const std::map<std::string, Tensor>& host, Stream& stream);

 private:
  void build_student(const Model& student, const RunConfig& config, bool shared);
  void build_update(const RunConfig& config);
  Tensor device(const TensorDesc& desc) const;
  Tensor upload(const TensorDesc& desc, const void* host) const;

  Backend& backend_;
  int64_t seed_;
  std::vector<float> rates_;
  std::optional<Predictor> teacher_;
  std::optional<Variables> variables_;
  std::optional<Program> student_, update_;
  Buffer outcome_;
  Tensor images_, labels_, teacher_logits_, key_, lr_, all_rates_, scale_, counters_;
};

}  // namespace kd
