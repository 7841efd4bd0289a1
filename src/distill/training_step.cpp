#include "distill/training_step.h"

#include <algorithm>

#include "core/stop_watch.h"
#include "kd/error.h"

namespace kd {
namespace {

constexpr int64_t kSlots = 3;   // copied, taught, trained on
constexpr int64_t kWarmUp = 5;  // steps run before one is captured: kernels load when first used

}  // namespace

PipelineMode pipeline_mode(const RunConfig& config, const Backend& backend) {
  if (config.pipeline == "serial") return PipelineMode::serial;
  if (config.pipeline == "streams") return PipelineMode::streams;
  if (config.pipeline == "graph") {
    if (!backend.can_capture()) {
      fail(ErrorCode::usage, "--pipeline graph: this engine ({}) can't record a step as one graph",
           backend.describe());
    }
    return PipelineMode::graph;
  }
  if (!backend.can_capture()) return PipelineMode::serial;
  return config.accumulate > 1 ? PipelineMode::streams : PipelineMode::graph;
}

TrainingStep::TrainingStep(const StepSetup& setup, Backend& backend)
    : backend_(backend),
      mode_(pipeline_mode(setup.stage, backend)),
      programs_(setup, backend, mode_ == PipelineMode::serial),
      kept_logits_(setup.kept_logits),
      copy_(backend.stream(Priority::high)),
      teacher_(backend.stream(Priority::normal)),
      student_(backend.stream(Priority::high)),
      forked_(backend.event()),
      copy_joined_(backend.event()),
      teacher_joined_(backend.event()) {
  const bool overlapped = mode_ != PipelineMode::serial || backend.can_capture();
  ready_.reserve(2 * kSlots);
  for (int64_t i = 0; i < (overlapped ? kSlots : 1); ++i) {
    slots_.push_back(make_slot(setup));
  }
}

TrainingStep::Slot TrainingStep::make_slot(const StepSetup& setup) {
  const StepModels& models = setup.models;
  Slot made;
  std::vector<ImageFeed::Target> targets{{programs_.images(), models.student->preprocess}};
  targets_.clear();
  const bool run = teachers() != nullptr && !kept_logits_;
  for (size_t i = 0; run && i < teachers()->used().size(); ++i) {
    const Tensor images = teachers()->images(i);
    const bool own = images.data() != programs_.images().data();
    targets_.push_back(own ? targets.size() : 0);
    const auto which = static_cast<size_t>(teachers()->used()[i]);
    if (own) targets.push_back({images, models.teachers[which]->preprocess});
  }
  for (const StepPrograms::Handover& handover : programs_.handovers()) {
    if (mode_ == PipelineMode::serial) break;
    const TensorDesc desc = handover.from.desc();
    made.handed.emplace_back(desc, backend_.allocate(desc.bytes(), Memory::device));
  }
  if (teachers() != nullptr && kept_logits_) add_kept(made);
  const Mixing mixing = programs_.partner_labels() ? Mixing::on : Mixing::off;
  made.feed = std::make_unique<ImageFeed>(backend_, setup.pixels, targets, mixing);
  made.outcome = backend_.allocate(programs_.outcome().bytes(), Memory::pinned_host);
  made.copied = backend_.event();
  made.taught = backend_.event();
  made.taken = backend_.event();
  made.done = backend_.event();
  return made;
}

void TrainingStep::add_kept(Slot& slot) const {
  for (const Tensor& given : teachers()->given()) {
    const TensorDesc desc = given.desc();
    slot.kept_host.emplace_back(desc, backend_.allocate(desc.bytes(), Memory::pinned_host));
    slot.kept.emplace_back(desc, backend_.allocate(desc.bytes(), Memory::device));
  }
}

void TrainingStep::stage(Slot& slot, const Batch& batch) const {
  slot.feed->stage(batch);
  for (size_t i = 0; i < slot.kept.size(); ++i) {
    kept_logits_(batch, i, slot.kept_host[i].as<float>());
  }
}

void TrainingStep::transfer(Slot& slot, Stream& stream) {
  slot.feed->transfer(stream);
  for (size_t i = 0; i < slot.kept.size(); ++i) {
    backend_.copy(slot.kept[i].data(), slot.kept_host[i].data(), slot.kept[i].bytes(), stream);
  }
}

void TrainingStep::start(int64_t step) {
  flush();
  programs_.seek(step, *student_);
}

void TrainingStep::feed(const Batch& batch) {
  // The slot was used `slots_` batches ago: its copy must have been made (a captured step's copy is
  // made when its results are there).
  collect_before(trained_);
  if (slot(fed_).copied_by_event) backend_.synchronize(*slot(fed_).copied);
  stage(slot(fed_), batch);
  ++fed_;
  if (mode_ == PipelineMode::serial) return feed_serial();
  if (mode_ == PipelineMode::graph && fed_ > kWarmUp && taught_ == fed_ - 2 &&
      trained_ == fed_ - 3) {
    return feed_graph();
  }
  feed_streams();
}

void TrainingStep::feed_serial() {
  const int64_t step = fed_ - 1;
  Slot& at = slot(step);
  transfer(at, *student_);
  backend_.record(*at.copied, *student_);
  at.copied_by_event = true;
  take(step, *student_);
  if (teachers() != nullptr) {
    place_for_teachers(at, *student_);
    teachers()->run(*student_);
  }
  train(step, *student_);
  backend_.record(*at.done, *student_);
  taught_ = trained_ = fed_;
}

void TrainingStep::teach(int64_t step, Stream& stream) {
  Slot& at = slot(step);
  place_for_teachers(at, stream);
  teachers()->run(stream);
  for (size_t i = 0; i < at.handed.size(); ++i) {
    backend_.copy(at.handed[i].data(), programs_.handovers()[i].from.data(), at.handed[i].bytes(),
                  stream);
  }
}

void TrainingStep::place_for_teachers(Slot& slot, Stream& stream) {
  for (const size_t target : targets_) {
    if (target > 0) slot.feed->place(target, stream);
  }
  for (size_t i = 0; i < slot.kept.size(); ++i) {
    const Tensor& to = teachers()->given()[i];
    backend_.copy(to.data(), slot.kept[i].data(), to.bytes(), stream);
  }
}

void TrainingStep::take(int64_t step, Stream& stream) {
  Slot& at = slot(step);
  at.feed->place(0, stream);
  const auto hand = [&](const Tensor& to, const Tensor& from) {
    if (to) backend_.copy(to.data(), from.data(), from.bytes(), stream);
  };
  hand(programs_.labels(), at.feed->labels());
  hand(programs_.partner_labels(), at.feed->partner_labels());
  hand(programs_.shares(), at.feed->shares());
  hand(programs_.ids(), at.feed->ids());
  for (size_t i = 0; i < at.handed.size(); ++i) {
    backend_.copy(programs_.handovers()[i].to.data(), at.handed[i].data(), at.handed[i].bytes(),
                  stream);
  }
}

void TrainingStep::train(int64_t step, Stream& stream) {
  programs_.train(stream);
  const Buffer& outcome = slot(step).outcome;
  backend_.copy(outcome.data(), programs_.outcome().data(), outcome.bytes(), stream);
}

void TrainingStep::feed_streams() {
  if (in_graph_) fork_streams();
  in_graph_ = false;
  Slot& at = slot(fed_ - 1);
  // The slot's pictures and labels were last read when its student took them (after its teacher).
  if (fed_ > kSlots) backend_.wait(*at.taken, *copy_);
  transfer(at, *copy_);
  backend_.record(*at.copied, *copy_);
  at.copied_by_event = true;
  if (taught_ < fed_ - 1) teach_next();
  if (trained_ < fed_ - 2) train_next();
}

void TrainingStep::teach_next() {
  Slot& at = slot(taught_);
  if (teachers() != nullptr) {
    // The copy was made after the logits last handed over here were taken: they are free too.
    backend_.wait(*at.copied, *teacher_);
    teach(taught_, *teacher_);
    backend_.record(*at.taught, *teacher_);
  }
  ++taught_;
}

void TrainingStep::train_next() {
  collect_before(trained_);
  Slot& at = slot(trained_);
  backend_.wait(teachers() != nullptr ? *at.taught : *at.copied, *student_);
  take(trained_, *student_);
  backend_.record(*at.taken, *student_);
  train(trained_, *student_);
  backend_.record(*at.done, *student_);
  ++trained_;
}

void TrainingStep::join_streams() {
  backend_.record(*copy_joined_, *copy_);
  backend_.record(*teacher_joined_, *teacher_);
  backend_.wait(*copy_joined_, *student_);
  backend_.wait(*teacher_joined_, *student_);
}

void TrainingStep::fork_streams() {
  backend_.record(*forked_, *student_);
  backend_.wait(*forked_, *copy_);
  backend_.wait(*forked_, *teacher_);
}

// Three branches that meet nowhere inside: each works on a slot that the step before prepared.
void TrainingStep::capture_step() {
  backend_.begin_capture(*student_);
  fork_streams();
  transfer(slot(trained_ + 2), *copy_);
  if (teachers() != nullptr) teach(trained_ + 1, *teacher_);
  take(trained_, *student_);
  train(trained_, *student_);
  join_streams();
  slot(trained_).whole = backend_.end_capture(*student_);
}

void TrainingStep::feed_graph() {
  if (!in_graph_) join_streams();
  in_graph_ = true;
  Slot& at = slot(trained_);
  if (!at.whole) capture_step();
  backend_.replay(*at.whole, *student_);
  slot(trained_ + 2).copied_by_event = false;
  backend_.record(*at.done, *student_);
  ++taught_;
  ++trained_;
}

void TrainingStep::flush() {
  if (in_graph_) fork_streams();
  in_graph_ = false;
  while (mode_ != PipelineMode::serial && trained_ < fed_) {
    // After a captured step the events of its slots are old: the fork above orders what follows.
    if (taught_ < fed_) teach_next();
    train_next();
  }
  collect(trained_);
}

// Frees the slot of `step` of the results it still holds.
void TrainingStep::collect_before(int64_t step) {
  collect(step - static_cast<int64_t>(slots_.size()) + 1);
}

void TrainingStep::collect(int64_t until) {
  for (; collected_ < until; ++collected_) {
    Slot& at = slot(collected_);
    backend_.synchronize(*at.done);
    ready_.push_back(programs_.unpack(at.outcome.data()));
  }
}

std::optional<StepResult> TrainingStep::result() {
  if (ready_.empty()) return std::nullopt;
  const StepResult first = ready_.front();
  ready_.erase(ready_.begin());  // a handful at most
  return first;
}

StepResult TrainingStep::run(const Batch& batch) {
  feed(batch);
  flush();
  const StepResult last = ready_.back();
  ready_.clear();
  return last;
}

std::vector<TrainingStep::Part> TrainingStep::parts() {
  std::vector<Part> all;
  if (teachers() != nullptr) {
    std::vector<Predictor>& each = teachers()->predictors();
    for (size_t i = 0; i < each.size(); ++i) {
      all.push_back({each.size() > 1 ? format("teacher {}", i) : "teacher", &each[i].program()});
    }
    if (teachers()->mix() != nullptr) all.push_back({"teachers' mix", teachers()->mix()});
  }
  all.push_back({"student", &program()});
  for (Program* each : programs_.optimiser().programs()) all.push_back({"optimiser", each});
  return all;
}

TrainingStep::Profiled TrainingStep::profile(const Batch& batch) {
  flush();
  const int64_t step = fed_++;
  Slot& at = slot(step);
  Profiled times;
  times.copied = timed([&] {
    stage(at, batch);
    transfer(at, *student_);
    take(step, *student_);  // what teachers handed over is taken below
    if (teachers() != nullptr) place_for_teachers(at, *student_);
    backend_.synchronize(*student_);
  });
  backend_.record(*at.taken, *student_);
  const std::vector<Part> all = parts();
  times.nodes.resize(all.size());
  for (size_t i = 0; i < all.size() && all[i].name != "optimiser"; ++i) {
    if (all[i].program == &program() && mode_ != PipelineMode::serial) {
      for (const StepPrograms::Handover& one : programs_.handovers()) {
        backend_.copy(one.to.data(), one.from.data(), one.from.bytes(), *student_);
      }
      backend_.synchronize(*student_);
    }
    times.nodes[i] = all[i].program->profile(*student_);
  }
  programs_.optimiser().run_by([&](Program& each) {
    const auto at_part = std::ranges::find(all, &each, &Part::program) - all.begin();
    times.nodes[static_cast<size_t>(at_part)] = each.profile(*student_);
  });
  const Buffer from = programs_.outcome();
  backend_.copy(at.outcome.data(), from.data(), from.bytes(), *student_);
  backend_.record(*at.done, *student_);
  taught_ = trained_ = fed_;
  collect(trained_);
  return times;
}

size_t TrainingStep::arena_bytes() const {
  return program().arena_bytes() + (teachers() ? teachers()->arena_bytes() : 0);
}

}  // namespace kd
