// The training step as a pipeline: pictures of batch i+2 are copied while the teacher reads batch
// i+1 and the student trains on batch i, on three streams ordered by events only. Nothing is
// allocated and the host waits for nothing inside a step; it waits for an older step's results
// between steps.
//
//   copy     [ i+2 ]
//   teacher  [ i+1: place pictures, forward, hand logits over ]
//   student  [ i: place pictures, take logits, forward, loss, backward, update, results ]
//
// Modes: serial (one stream, one batch at a time), streams, graph (the three branches of a step
// captured once and replayed as one).
#pragma once

#include "distill/image_feed.h"
#include "distill/step_programs.h"

namespace kd {

enum class PipelineMode : uint8_t { serial, streams, graph };
PipelineMode pipeline_mode(const RunConfig& config, const Backend& backend);

using StepResult = StepPrograms::Outcome;

class TrainingStep {
 public:
  TrainingStep(const StepSetup& setup, Backend& backend);

  // The next batch fed is this step of the run: its learning rate and its dropout are used.
  void start(int64_t step);
  void feed(const Batch& batch);       // enqueues its work, and that of batches fed before
  void flush();                        // all batches fed are trained on, all results are there
  std::optional<StepResult> result();  // the next in order, if it is there already
  StepResult run(const Batch& batch);  // feed, flush, result

  // What a step runs one after another where nothing overlaps: teachers, student, optimiser.
  struct Part {
    std::string name;
    Program* program;
  };
  std::vector<Part> parts();
  struct Profiled {
    Span copied;                           // the batch is copied, its pictures placed
    std::vector<std::vector<Span>> nodes;  // of each part; none of one that this step did without
  };
  // As feed(), but each node of each part is run and waited for by itself; the numbers are the
  // same.
  Profiled profile(const Batch& batch);

  PipelineMode mode() const { return mode_; }
  Variables& variables() { return programs_.variables(); }
  StepPrograms& programs() { return programs_; }
  const StepPrograms& programs() const { return programs_; }
  size_t arena_bytes() const;
  int reorders() const { return programs_.student().reorders_per_run(); }
  const Program& program() const { return programs_.student(); }
  Program& program() { return programs_.student(); }
  const Teachers* teachers() const { return programs_.teachers(); }
  Teachers* teachers() { return programs_.teachers(); }
  Stream& stream() { return *student_; }

 private:
  // One batch on its way, from its copy to its result; steps take the slots in turn.
  struct Slot {
    std::unique_ptr<ImageFeed> feed;
    std::vector<Tensor> kept, kept_host;  // logits that no teacher computes, and where they wait
    std::vector<Tensor> handed;           // from the teachers to the student
    Buffer outcome;                       // pinned
    std::unique_ptr<Event> copied, taught, taken, done;
    bool copied_by_event = false;     // the last copy was made outside a captured step
    std::unique_ptr<Captured> whole;  // the step whose student's batch is in this slot
  };
  Slot& slot(int64_t step) { return slots_[static_cast<size_t>(step) % slots_.size()]; }
  Slot make_slot(const StepSetup& setup);
  void place_for_teachers(Slot& slot, Stream& stream);
  void add_kept(Slot& slot) const;
  void stage(Slot& slot, const Batch& batch) const;  // on the host
  void transfer(Slot& slot, Stream& stream);

  // The parts of a step, each on the stream it is given.
  void teach(int64_t step, Stream& stream);
  void take(int64_t step, Stream& stream);
  void train(int64_t step, Stream& stream);

  void feed_serial();
  void feed_streams();  // copies the batch fed last, teaches the one before, trains the one before
  void feed_graph();
  void capture_step();  // into the slot of the student's batch
  void teach_next();
  void train_next();
  void join_streams();  // the student's stream waits for the others
  void fork_streams();  // the others wait for the student's
  void collect_before(int64_t step);
  void collect(int64_t until);  // waits for results of steps before `until`

  Backend& backend_;
  PipelineMode mode_;
  StepPrograms programs_;
  decltype(StepSetup::kept_logits) kept_logits_;
  std::unique_ptr<Stream> copy_, teacher_, student_;
  std::unique_ptr<Event> forked_, copy_joined_, teacher_joined_;
  std::vector<Slot> slots_;
  std::vector<size_t> targets_;  // of each teacher, among the feed's; 0: the student's
  bool in_graph_ = false;        // the work enqueued last was a captured step
  int64_t fed_ = 0, taught_ = 0, trained_ = 0, collected_ = 0;  // batches so far
  std::vector<StepResult> ready_;
};

}  // namespace kd
