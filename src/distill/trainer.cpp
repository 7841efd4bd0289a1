#include "kd/trainer.h"

#include <chrono>
#include <cmath>

#include "core/file.h"
#include "core/json.h"
#include "distill/pipeline.h"
#include "distill/run_folder.h"
#include "distill/schedule.h"
#include "distill/setup.h"

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
  double images_done_ = 0;
};

double Run::gate() {
  Predictor teacher(*setup_.teacher, *setup_.backend, config_.batch_size);
  const Evaluation e = evaluate(teacher, *setup_.backend, val_);
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
  RunFolder folder(config_.output, resume);
  TrainingStep step(setup_.student, setup_.teacher ? &*setup_.teacher : nullptr, config_,
                    *setup_.backend);
  student_.emplace(setup_.student, *setup_.backend, config_.batch_size, step.variables());
  if (resume) at_ = folder.load_checkpoint(step.variables(), config_json_);
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

bool Run::steps_of_epoch(TrainingStep& step) {
  const int64_t steps = train_.batches();
  train_.start(at_.epoch, at_.step);
  const auto begun = Clock::now();
  const int64_t first = at_.step;
  while (const Batch* batch = train_.next()) {
    const int64_t global = at_.epoch * steps + at_.step;
    const StepResult r = step.run(*batch, learning_rate(config_, global, steps), global);
    KD_CHECK(std::isfinite(r.loss),
             "the loss is {} at step {}: lower --lr, or check the data; the last "
             "checkpoint is kept",
             r.loss, global + 1);
    ++at_.step;
    at_.loss_sum += r.loss;
    for (size_t i = 0; i < kLossTerms; ++i) at_.term_sums[i] += r.terms[i];
    at_.correct += static_cast<double>(r.correct);
    images_done_ += static_cast<double>(config_.batch_size);
    if (watcher_.step) {
      const double done = static_cast<double>(at_.step), seconds = since(begun);
      const double each = seconds / static_cast<double>(at_.step - first);
      const double left = static_cast<double>((config_.epochs - at_.epoch) * steps - at_.step);
      watcher_.step({at_.epoch + 1, config_.epochs, at_.step, steps, at_.loss_sum / done,
                     100 * at_.correct / (done * static_cast<double>(config_.batch_size)),
                     static_cast<double>(config_.batch_size) / each, left * each});
    }
    if (watcher_.stop && watcher_.stop()) return false;
  }
  return true;
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
  folder.save_checkpoint(at_, step.variables(), config_json_);
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
    const Evaluation e = evaluate(*student_, *setup_.backend, val_);
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
