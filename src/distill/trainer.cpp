#include "kd/trainer.h"

#include <chrono>
#include <cmath>

#include "core/file.h"
#include "core/json.h"
#include "distill/evaluate.h"
#include "distill/precision.h"
#include "distill/run_folder.h"
#include "distill/schedule.h"
#include "distill/setup.h"
#include "distill/training_step.h"

namespace kd {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Run {
 public:
  Run(const RunConfig& config, const Watcher& watcher)
      : config_(config),
        config_json_(config_to_json(config)),
        watcher_(watcher),
        setup_(set_up(config, watcher)),
        train_(setup_.data.train, setup_.train),
        val_(setup_.data.val, setup_.val) {}

  RunSummary go();

 private:
  double gate();  // the teacher's own top-1, before anything is written
  void one_epoch(TrainingStep& step, RunFolder& folder);
  bool steps_of_epoch(TrainingStep& step);  // false: interrupted
  std::vector<float> rates() const;         // of every step of the run
  void account(TrainingStep& step);
  void report_step(Clock::time_point begun, int64_t first) const;
  void restore(TrainingStep& step, const RunFolder& folder);
  void save(TrainingStep& step, const RunFolder& folder) const;
  void end_epoch(TrainingStep& step, RunFolder& folder, double seconds, double waited);
  void write_run_json(const RunFolder& folder, bool finished) const;
  void note(const std::string& line) const {
    if (watcher_.note) watcher_.note(line);
  }

  RunConfig config_;
  std::string config_json_;
  Watcher watcher_;
  Setup setup_;
  Loader train_, val_;
  std::optional<Predictor> student_;
  Position at_;
  RunSummary summary_;
  Clock::time_point start_ = Clock::now();
};

double Run::gate() {
  Predictor teacher(*setup_.teacher, *setup_.backend, config_.batch_size,
                    teacher_dtype(config_, *setup_.backend));
  const Evaluation e = evaluate(teacher, setup_.teacher->preprocess, *setup_.backend, val_);
  const double top1 = e.top1_percent();
  note(format("teacher: top-1 {} % of {} validation pictures, {} images/s", top1, e.count,
              std::lround(static_cast<double>(e.count) / e.seconds)));
  KD_CHECK(top1 >= config_.teacher_min_top1,
           "the teacher's top-1 is {} %, --teacher-min-top1 asks for {} %", top1,
           config_.teacher_min_top1);
  return top1;
}

RunSummary Run::go() {
  const bool resume = config_.resume;
  if (setup_.teacher && !resume) at_.teacher_top1 = gate();
  TrainingStep step(setup_.student, setup_.teacher ? &*setup_.teacher : nullptr, config_,
                    *setup_.backend, rates());
  RunFolder folder(config_.output, resume);  // last: what can't be run leaves no folder behind
  student_.emplace(setup_.student, *setup_.backend, config_.batch_size, step.variables());
  if (resume) restore(step, folder);
  folder.rewind_metrics(at_.epoch);
  write_run_json(folder, false);
  start_ = Clock::now();
  while (at_.epoch < config_.epochs && !summary_.interrupted) one_epoch(step, folder);
  if (!summary_.interrupted) write_run_json(folder, true);
  summary_.teacher_top1 = at_.teacher_top1;
  summary_.best_top1 = at_.best_top1;
  summary_.best_epoch = at_.best_epoch;
  summary_.parameters = setup_.student.parameter_count();
  summary_.teacher_parameters = setup_.teacher ? setup_.teacher->parameter_count() : 0;
  summary_.seconds = since(start_);
  return summary_;
}

std::vector<float> Run::rates() const {
  std::vector<float> rates;
  const int64_t steps = train_.batches();
  for (int64_t step = 0; step < steps * config_.epochs; ++step) {
    rates.push_back(static_cast<float>(learning_rate(config_, step, steps)));
  }
  return rates;
}

void Run::restore(TrainingStep& step, const RunFolder& folder) {
  const RunFolder::Checkpoint checkpoint = folder.load_checkpoint(config_json_);
  at_ = checkpoint.position;
  step.variables().restore(checkpoint.tensors);
  step.programs().restore_scale(checkpoint.tensors, step.stream());
}

void Run::save(TrainingStep& step, const RunFolder& folder) const {
  std::map<std::string, Tensor> tensors = step.variables().fetch();
  tensors.merge(step.programs().fetch_scale(step.stream()));
  folder.save_checkpoint(at_, tensors, config_json_);
}

// Adds up the results that are there.
void Run::account(TrainingStep& step) {
  while (const std::optional<StepResult> r = step.result()) {
    ++at_.step;
    KD_CHECK(
        std::isfinite(r->loss),
        "the loss is {} at step {}: lower --lr, or check the data; the last checkpoint is kept",
        r->loss, at_.epoch * train_.batches() + at_.step);
    at_.loss_sum += r->loss;
    for (size_t i = 0; i < kLossTerms; ++i) at_.term_sums[i] += r->terms[i];
    at_.correct += static_cast<double>(r->correct);
    at_.skipped = r->skipped;
  }
}

void Run::report_step(Clock::time_point begun, int64_t first) const {
  if (!watcher_.step || at_.step == first) return;
  const int64_t steps = train_.batches();
  const double done = static_cast<double>(at_.step);
  const double each = since(begun) / static_cast<double>(at_.step - first);
  const double left = static_cast<double>((config_.epochs - at_.epoch) * steps - at_.step);
  watcher_.step({at_.epoch + 1, config_.epochs, at_.step, steps, at_.loss_sum / done,
                 100 * at_.correct / (done * static_cast<double>(config_.batch_size)),
                 static_cast<double>(config_.batch_size) / each, left * each});
}

bool Run::steps_of_epoch(TrainingStep& step) {
  train_.start(at_.epoch, at_.step);
  step.start(at_.epoch * train_.batches() + at_.step);
  const auto begun = Clock::now();
  const int64_t first = at_.step;
  bool whole = true;
  while (const Batch* batch = whole ? train_.next() : nullptr) {
    step.feed(*batch);
    account(step);
    report_step(begun, first);
    whole = !(watcher_.stop && watcher_.stop());
  }
  step.flush();
  account(step);
  report_step(begun, first);
  return at_.step == train_.batches();
}

void Run::one_epoch(TrainingStep& step, RunFolder& folder) {
  const auto begun = Clock::now();
  const double waited = train_.wait_seconds();
  const bool whole = steps_of_epoch(step);
  at_.seconds += since(begun);
  if (whole) {
    end_epoch(step, folder, since(begun), train_.wait_seconds() - waited);
  } else {
    summary_.interrupted = true;
  }
  save(step, folder);
}

void Run::end_epoch(TrainingStep& step, RunFolder& folder, double seconds, double waited) {
  const auto steps = static_cast<double>(train_.batches());
  const double images = steps * static_cast<double>(config_.batch_size);
  EpochReport r;
  r.epoch = at_.epoch + 1;
  r.lr = learning_rate(config_, (at_.epoch + 1) * train_.batches() - 1, train_.batches());
  r.train_loss = at_.loss_sum / steps;
  for (const TermSpec& spec : loss_terms(config_)) {
    r.terms.emplace_back(spec.name,
                         at_.term_sums[static_cast<size_t>(term(spec.name).slot)] / steps);
  }
  r.train_top1 = 100 * at_.correct / images;
  r.images_per_second = images / at_.seconds;
  r.wait_percent = 100 * waited / seconds;
  r.seconds = at_.seconds;
  r.validated = r.epoch % config_.eval_every == 0 || r.epoch == config_.epochs;
  step.variables().store(setup_.student);
  save_model(setup_.student, folder.file("last.bin"));
  if (r.validated) {
    student_->weights_changed();
    const Evaluation e = evaluate(*student_, setup_.student.preprocess, *setup_.backend, val_);
    r.val_loss = e.loss;
    r.val_top1 = summary_.last_top1 = e.top1_percent();
    if (r.val_top1 > at_.best_top1) {
      at_.best_top1 = r.val_top1;
      at_.best_epoch = r.epoch;
      save_model(setup_.student, folder.file("best.bin"));
    }
  }
  summary_.images_per_second = r.images_per_second;
  folder.append_metrics(r);
  if (watcher_.epoch) watcher_.epoch(r);
  at_.epoch += 1;
  at_.step = 0;
  at_.loss_sum = at_.correct = at_.seconds = 0;
  at_.term_sums = {};
}

void Run::write_run_json(const RunFolder& folder, bool finished) const {
  const auto hash = [](const std::string& path) { return path.empty() ? "" : hash_file(path); };
  const Json json = {{"config", parse_json(config_json_, "configuration")},
                     {"versions",
                      {{"kdengine", KD_VERSION},
                       {"engine", setup_.backend->describe()},
                       {"compiler", __VERSION__}}},
                     {"hashes",
                      {{"teacher", hash(config_.teacher)},
                       {"student", hash(config_.student)},
                       {"data", setup_.data.fingerprint}}},
                     {"parameters", setup_.student.parameter_count()},
                     {"teacher_top1", at_.teacher_top1},
                     {"best_top1", at_.best_top1},
                     {"last_top1", summary_.last_top1},
                     {"images_per_second", summary_.images_per_second},
                     {"finished", finished}};
  write_file(folder.file("run.json"), json.dump(2) + "\n");
}

}  // namespace

RunSummary train(const RunConfig& config, const Watcher& watcher) {
  return Run(config, watcher).go();
}

}  // namespace kd
