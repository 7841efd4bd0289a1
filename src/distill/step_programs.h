// What one training step computes: the teachers' programs, the student's (forward, objective,
// backward), and the update of the weights. When each runs is TrainingStep's business.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "distill/step_graph.h"
#include "distill/step_schedule.h"
#include "distill/teachers.h"
#include "distill/update_graph.h"
#include "distill/variables.h"
#include "kd/data.h"

namespace kd {

// What a stage's steps are made of.
struct StepSetup {
  StepModels models;
  RunConfig stage;  // at_stage() of a run
  StepSchedule schedule{{}};
  int64_t population = 1;                     // training pictures
  std::map<std::string, Tensor> extras = {};  // tensors of terms that earlier stages left
  // Of the training pictures; those of one class are alike. Empty: none has a label.
  std::vector<int32_t> all_labels = {};
  Shape pixels = {};  // of the batches that are fed: (batch, H, W, C)
  // Writes the logits of a batch by the i-th teacher in use, f32 (batch, classes); then no teacher
  // runs in the step. Empty: they do.
  std::function<void(const Batch& batch, size_t teacher, float* to)> kept_logits = {};
};
// With one teacher or (null) none, and a learning rate for each step.
StepSetup plain_setup(const Model& student, const Model* teacher, const RunConfig& stage,
                      std::vector<float> rates);

class StepPrograms {
 public:
  // `shared`: teachers and student read the same input and logits in one memory, so they must not
  // run at once.
  StepPrograms(const StepSetup& setup, Backend& backend, bool shared);

  Teachers* teachers() { return teachers_ ? &*teachers_ : nullptr; }
  const Teachers* teachers() const { return teachers_ ? &*teachers_ : nullptr; }
  void train(Stream& stream) {  // forward, loss, backward, update; counts the step
    student_->run(stream);
    update_->run(stream);
  }
  const Program& student() const { return *student_; }
  Program& student() { return *student_; }
  Program& update() { return update_->program(); }
  Update& optimiser() { return *update_; }
  Variables& variables() { return *variables_; }
  const StepGraph& graph() const { return graph_; }  // what it was made of; its graph is compiled

  Tensor images() const { return images_; }                  // the student's input
  Tensor labels() const { return labels_; }                  // i32 (batch)
  Tensor partner_labels() const { return partner_labels_; }  // i32 (batch); empty: none are mixed
  Tensor shares() const { return shares_; }                  // f32 (batch); likewise
  Tensor ids() const { return ids_; }  // i32 (batch); empty where no term needs them
  // What the teachers make for the student, and where it is read; the same memory if shared.
  struct Handover {
    Tensor from, to;
  };
  const std::vector<Handover>& handovers() const { return handovers_; }

  // What a step leaves: one block of memory, read by unpack().
  static constexpr size_t kMostTerms = 32;
  struct Outcome {
    double loss = 0;
    std::array<double, kMostTerms> terms{};  // unweighted, in the order of the objective
    int64_t correct = 0, skipped = 0;        // skipped: steps so far whose gradients overflowed
    double loss_scale = 1;
  };
  Buffer outcome() const { return outcome_; }
  Outcome unpack(const void* bytes) const;

  void seek(int64_t step, Stream& stream);
  // What is neither weights nor statistics, for checkpoints: the loss scale, updates so far.
  std::map<std::string, Tensor> fetch_state(Stream& stream) const;
  void restore_state(const std::map<std::string, Tensor>& host, Stream& stream);

 private:
  void build_schedule(const StepSetup& setup);
  void build_student(const StepSetup& setup, bool shared);
  void bind_taught(const StepModels& models, std::vector<Binding>& bindings);
  void bind_all_labels(const StepSetup& setup, std::vector<Binding>& bindings) const;
  void bind_outcome(std::vector<Binding>& bindings) const;
  void build_update(const RunConfig& stage);
  std::map<std::string, Tensor> state() const;
  std::map<std::string, Tensor> first_state(const RunConfig& stage) const;
  Tensor device(const TensorDesc& desc) const;
  Tensor column(int64_t at, const Shape& shape) const;  // of the schedule's row

  Backend& backend_;
  int64_t seed_;
  std::vector<TermSpec> terms_;
  std::vector<size_t> term_places_;  // of their values in the outcome
  StepGraph graph_;
  std::vector<float> host_table_;
  std::optional<Teachers> teachers_;
  std::optional<Variables> variables_;
  std::optional<Program> student_;
  std::optional<Update> update_;
  std::vector<Handover> handovers_;
  Buffer outcome_;
  Tensor images_, labels_, partner_labels_, shares_, ids_;
  Tensor key_, updates_, row_, table_, scale_, counters_;
};

}  // namespace kd
