#include <chrono>
#include <cmath>

#include "core/file.h"
#include "core/json.h"
#include "distill/diagnosis.h"
#include "distill/evaluate.h"
#include "distill/peer.h"
#include "distill/precision.h"
#include "distill/run_folder.h"
#include "distill/runs.h"
#include "distill/schedule.h"
#include "distill/scorecards.h"
#include "distill/setup.h"
#include "distill/step_profiler.h"
#include "distill/teacher_cache.h"
#include "distill/training_step.h"

namespace kd {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::unique_ptr<Loader> validation(const Setup& setup) {
  if (!setup.chosen_by() || setup.chosen_by()->size() == 0) return nullptr;
  return std::make_unique<Loader>(setup.chosen_by(), setup.val);
}

// The arena of the weights that are validated and saved.
std::string average_of(const RunConfig& stage) { return stage.ema > 0 ? "average" : ""; }

class Run {
 public:
  Run(const RunConfig& config, const Watcher& watcher)
      : config_(config),
        config_json_(config_to_json(config)),
        watcher_(watcher),
        setup_(set_up(config, watcher)),
        val_(validation(setup_)) {
    for (int64_t i = 0; i < stage_count(config); ++i) epochs_ += at_stage(config, i).epochs;
  }

  RunSummary go();

 private:
  // One stage at work.
  struct Stage {
    Stage(const Setup& setup, const std::map<std::string, Tensor>& extras, int64_t first_epoch,
          RunConfig stage, std::unique_ptr<TeacherCache> kept)
        : first(first_epoch),
          config(std::move(stage)),
          cache(std::move(kept)),
          loader(setup.data.train, training_options(setup, config)),
          step({setup.models(), config, StepSchedule(config, loader.batches()),
                setup.data.train->size(), extras, labels_of(*setup.data.train), loader.pixels(),
                kept_logits()},
               *setup.backend),
          student(*setup.models().student, *setup.backend, config.batch_size, step.variables(),
                  average_of(config)) {}
    int64_t end() const { return first + config.epochs; }
    decltype(StepSetup::kept_logits) kept_logits() {
      if (!cache) return {};
      return [this](const Batch& batch, size_t teacher, float* to) {
        cache->logits(batch, epoch, teacher, to);
      };
    }

    int64_t first;  // epoch of the run
    RunConfig config;
    int64_t epoch = 0;                    // of the run, in progress
    double waited = 0;                    // seconds, for the loader, until the epoch began
    std::unique_ptr<TeacherCache> cache;  // null: the teachers run in each step
    Loader loader;
    TrainingStep step;
    Predictor student;
  };

  void gate();  // the teachers' own top-1, before anything is written
  void resume_from(const RunFolder& folder);
  std::unique_ptr<TeacherCache> open_cache(const RunConfig& stage, int64_t number) const;
  void one_stage(int64_t first, const RunConfig& config, int64_t number);
  void take_up(Stage& stage);  // where a checkpoint left it
  void keep_extras(const std::map<std::string, Tensor>& tensors);
  void finish();
  void one_epoch(Stage& stage);
  bool steps_of_epoch(Stage& stage);  // false: interrupted
  void account(Stage& stage);
  [[noreturn]] void give_up(Stage& stage, const StepResult& result);
  void report_step(const Stage& stage, Clock::time_point begun, int64_t first) const;
  void save(Stage& stage) const;
  void end_epoch(Stage& stage, double seconds, double waited);
  void save_peer(Stage& stage);
  void validate(Stage& stage, EpochReport& report);
  void write_run_json(bool finished) const;
  void note(const std::string& line) const {
    if (watcher_.note) watcher_.note(line);
  }

  RunConfig config_;
  std::string config_json_;
  Watcher watcher_;
  Setup setup_;
  std::unique_ptr<Loader> val_;  // null: no pictures to choose by
  std::optional<RunFolder> folder_;
  std::optional<RunProfile> profile_;  // --profile
  std::string learner_file_ = "last.bin";
  std::optional<Failure> failure_;
  int64_t epochs_ = 0;  // of all stages
  Position at_;
  std::map<std::string, Tensor> resumed_;  // a checkpoint's tensors, until its stage has begun
  std::map<std::string, Tensor> extras_;   // tensors of terms, from stage to stage
  RunSummary summary_;
  Clock::time_point start_ = Clock::now();
};

void Run::gate() {
  if (!val_) return;
  for (const Model& model : setup_.teachers) {
    Predictor teacher(model, *setup_.backend, config_.batch_size,
                      {teacher_dtype(config_, *setup_.backend), {}, Mode::inference});
    const Evaluation e = evaluate(teacher, model.preprocess, *setup_.backend, *val_);
    const double top1 = e.top1_percent();
    const std::string name = setup_.teachers.size() > 1 ? " " + model.name : "";
    note(format("teacher{}: top-1 {} % of {} {} pictures, {} images/s", name, top1, e.count,
                setup_.data.dev ? "dev" : "validation",
                std::lround(static_cast<double>(e.count) / e.seconds)));
    KD_CHECK(top1 >= config_.teacher_min_top1,
             "the teacher's top-1 is {} %, --teacher-min-top1 asks for {} %", top1,
             config_.teacher_min_top1);
    if (&model == &setup_.teachers.front()) at_.teacher_top1 = top1;
  }
}

RunSummary Run::go() {
  if (config_.resume) {
    folder_.emplace(config_.output, true);
    resume_from(*folder_);
  } else {
    gate();
  }
  int64_t first = 0;
  for (int64_t i = 0; i < stage_count(config_) && !summary_.interrupted; ++i) {
    const RunConfig stage = at_stage(config_, i);
    begin_stage(setup_, stage);
    learner_file_ = setup_.assistant ? format("assistant_{}.bin", i + 1) : "last.bin";
    if (at_.epoch < first + stage.epochs) {
      one_stage(first, stage, i);
    } else {
      setup_.learner() = load_model(folder_->file(learner_file_));  // finished before
    }
    if (!summary_.interrupted) end_stage(setup_);
    first += stage.epochs;
  }
  if (profile_) profile_->end_of_run();
  if (!summary_.interrupted) finish();
  summary_.teacher_top1 = at_.teacher_top1;
  summary_.best_top1 = at_.best_top1;
  summary_.best_epoch = at_.best_epoch;
  summary_.parameters = setup_.student.parameter_count();
  for (const Model& teacher : setup_.teachers) {
    summary_.teacher_parameters += teacher.parameter_count();
  }
  summary_.seconds = since(start_);
  return summary_;
}

// Weights and the optimiser's state are taken when their stage is there.
void Run::resume_from(const RunFolder& folder) {
  RunFolder::Checkpoint checkpoint = folder.load_checkpoint(config_json_);
  at_ = checkpoint.position;
  resumed_ = std::move(checkpoint.tensors);
  keep_extras(resumed_);
}

void Run::keep_extras(const std::map<std::string, Tensor>& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with("term.")) extras_[name] = tensor;
  }
}

void Run::take_up(Stage& stage) {
  if (!resumed_.empty() && (at_.epoch > stage.first || at_.step > 0)) {
    stage.step.variables().restore(resumed_);
    stage.step.programs().restore_state(resumed_, stage.step.stream());
  }
  resumed_.clear();
}

std::unique_ptr<TeacherCache> Run::open_cache(const RunConfig& stage, int64_t number) const {
  if (!uses_cache(stage)) return nullptr;
  auto cache =
      std::make_unique<TeacherCache>(setup_, stage, first_with_same_pictures(config_, number));
  for (const LogitFile& file : cache->files()) {
    note(format("teacher cache: {}, {} of {} logits are kept", file.path().string(),
                file.count().present, file.slots()));
  }
  return cache;
}

void Run::one_stage(int64_t first, const RunConfig& config, int64_t number) {
  Stage stage(setup_, extras_, first, config, open_cache(config, number));
  take_up(stage);
  if (!folder_) folder_.emplace(config_.output, false);  // what can't be run leaves no folder
  if (!config_.stages.empty()) {
    note(format("{}: epochs {} to {}", stage.config.name, stage.first + 1, stage.end()));
  }
  folder_->rewind_metrics(at_.epoch);
  write_run_json(false);
  if (config_.profile && !profile_) profile_.emplace(config_.output, watcher_.note);
  while (at_.epoch < stage.end() && !summary_.interrupted) one_epoch(stage);
  if (profile_) profile_->end_of_stage();
  keep_extras(stage.step.variables().fetch());
}

// Writes the scorecard of the best weights: the one look at the test pictures.
void Run::finish() {
  write_run_json(true);
  if (!config_.scorecard || !setup_.data.val || setup_.data.val->size() == 0 || !val_) return;
  setup_.student = load_model(folder_->file("best.bin"));
  const Scorecard card = make_scorecard(setup_, config_);
  save_scorecard(card, config_.output);
  summary_.test_top1 = card.student.top1;
}

void Run::save(Stage& stage) const {
  std::map<std::string, Tensor> tensors = stage.step.variables().fetch();
  tensors.merge(stage.step.programs().fetch_state(stage.step.stream()));
  tensors.insert(extras_.begin(), extras_.end());
  folder_->save_checkpoint(at_, tensors, config_json_);
}

// Adds up the results that are there.
void Run::account(Stage& stage) {
  while (const std::optional<StepResult> r = stage.step.result()) {
    ++at_.step;
    // Gradients that are not finite update nothing. In f16 the loss scale gives way and the next
    // step does; else none would.
    const bool stuck = r->skipped > 0 && student_dtype(config_, *setup_.backend) != DType::f16;
    if (stuck || !std::isfinite(r->loss)) give_up(stage, *r);
    at_.loss_sum += r->loss;
    for (size_t i = 0; i < r->terms.size(); ++i) at_.term_sums[i] += r->terms[i];
    at_.correct += static_cast<double>(r->correct);
    at_.skipped = r->skipped;
  }
}

// Says what went wrong, in words and in run.json.
void Run::give_up(Stage& stage, const StepResult& result) {
  stage.loader.start(at_.epoch, at_.step - 1);
  Failure failure = diagnose(setup_.learner(), stage.config, stage.step.variables(),
                             *setup_.backend, *stage.loader.next());
  failure.step = at_.epoch * stage.loader.batches() + at_.step;
  const std::vector<TermSpec> terms = loss_terms(stage.config);
  for (size_t i = 0; i < terms.size() && failure.term.empty(); ++i) {
    if (!std::isfinite(result.terms[i])) failure.term = terms[i].name;
  }
  failure_ = failure;
  write_run_json(false);
  throw Diverged(sentence_of(failure));
}

void Run::report_step(const Stage& stage, Clock::time_point begun, int64_t first) const {
  if (!watcher_.step || at_.step == first) return;
  const int64_t steps = stage.loader.batches();
  const auto done = static_cast<double>(at_.step);
  const double seconds = since(begun), each = seconds / static_cast<double>(at_.step - first);
  const double left = static_cast<double>((epochs_ - at_.epoch) * steps - at_.step);
  watcher_.step({at_.epoch + 1, epochs_, at_.step, steps, at_.loss_sum / done,
                 100 * at_.correct / (done * static_cast<double>(config_.batch_size)),
                 static_cast<double>(config_.batch_size) / each, left * each,
                 100 * (stage.loader.wait_seconds() - stage.waited) / seconds});
}

bool Run::steps_of_epoch(Stage& stage) {
  const int64_t steps = stage.loader.batches();
  stage.loader.start(at_.epoch, at_.step);
  stage.epoch = at_.epoch;
  stage.step.start((at_.epoch - stage.first) * steps + at_.step);
  const auto begun = Clock::now();
  const int64_t first = at_.step;
  bool whole = true;
  while (const Batch* batch = whole ? stage.loader.next() : nullptr) {
    if (profile_) {
      profile_->feed(stage.step, *setup_.backend, *batch, stage.loader.wait_seconds());
    } else {
      stage.step.feed(*batch);
    }
    account(stage);
    report_step(stage, begun, first);
    whole = !(watcher_.stop && watcher_.stop());
  }
  stage.step.flush();
  if (stage.cache) stage.cache->sync();
  account(stage);
  report_step(stage, begun, first);
  return at_.step == steps;
}

void Run::one_epoch(Stage& stage) {
  const auto begun = Clock::now();
  stage.waited = stage.loader.wait_seconds();
  const bool whole = steps_of_epoch(stage);
  at_.seconds += since(begun);
  if (whole) {
    end_epoch(stage, since(begun), stage.loader.wait_seconds() - stage.waited);
  } else {
    summary_.interrupted = true;
  }
  save(stage);
}

void Run::end_epoch(Stage& stage, double seconds, double waited) {
  const auto steps = static_cast<double>(stage.loader.batches());
  const double images = steps * static_cast<double>(config_.batch_size);
  const int64_t within = at_.epoch - stage.first + 1;
  EpochReport r;
  r.epoch = at_.epoch + 1;
  if (!config_.stages.empty()) r.stage = stage.config.name;
  r.lr = learning_rate(stage.config, within * stage.loader.batches() - 1, stage.loader.batches());
  r.train_loss = at_.loss_sum / steps;
  const std::vector<TermSpec> terms = loss_terms(stage.config);
  for (size_t i = 0; i < terms.size(); ++i) {
    r.terms.emplace_back(terms[i].name, at_.term_sums[i] / steps);
  }
  const bool labelled = !setup_.data.train->class_names().empty();
  const bool counted = labelled && bool(stage.step.programs().graph().correct);
  r.train_top1 = counted ? 100 * at_.correct / images : -1;
  r.images_per_second = images / at_.seconds;
  r.wait_percent = 100 * waited / seconds;
  r.seconds = at_.seconds;
  r.validated = val_ && (within % stage.config.eval_every == 0 || r.epoch == stage.end());
  stage.step.variables().store(setup_.learner(), average_of(stage.config));
  save_model(setup_.learner(), folder_->file(learner_file_));
  save_peer(stage);
  if (r.validated) validate(stage, r);
  summary_.images_per_second = r.images_per_second;
  folder_->append_metrics(r);
  if (watcher_.epoch) watcher_.epoch(r);
  at_.epoch += 1;
  at_.step = 0;
  at_.loss_sum = at_.correct = at_.seconds = 0;
  at_.term_sums = {};
}

// The model that a term trains beside the student.
void Run::save_peer(Stage& stage) {
  for (const TermSpec& spec : loss_terms(stage.config)) {
    if (spec.model.empty()) continue;
    Model& peer = setup_.peers.at(spec.model);
    stage.step.variables().store(peer, average_of(stage.config), peer_prefix(spec));
    save_model(peer, folder_->file("peer.bin"));
  }
}

void Run::validate(Stage& stage, EpochReport& r) {
  stage.student.weights_changed();
  const Evaluation e = evaluate(stage.student, setup_.student.preprocess, *setup_.backend, *val_);
  r.val_loss = e.loss;
  r.val_top1 = e.top1_percent();
  if (setup_.assistant) return;
  summary_.last_top1 = r.val_top1;
  if (r.val_top1 <= at_.best_top1) return;
  at_.best_top1 = r.val_top1;
  at_.best_epoch = r.epoch;
  save_model(setup_.student, folder_->file("best.bin"));
}

void Run::write_run_json(bool finished) const {
  Json teachers = Json::array();
  for (const std::string& path : config_.teacher) teachers.push_back(hash_file(path));
  Json json = {{"config", parse_json(config_json_, "configuration")},
               {"versions",
                {{"kdengine", KD_VERSION},
                 {"engine", setup_.backend->describe()},
                 {"compiler", __VERSION__}}},
               {"hashes",
                {{"teacher", teachers},
                 {"student", hash_file(config_.student)},
                 {"data", setup_.data.fingerprint}}},
               {"parameters", setup_.student.parameter_count()},
               {"teacher_top1", at_.teacher_top1},
               {"best_top1", at_.best_top1},
               {"last_top1", summary_.last_top1},
               {"images_per_second", summary_.images_per_second},
               {"finished", finished}};
  if (failure_) json["failure"] = parse_json(failure_to_json(*failure_), "failure");
  write_file(folder_->file("run.json"), json.dump(2) + "\n");
}

}  // namespace

RunSummary train_once(const RunConfig& config, const Watcher& watcher) {
  return Run(config, watcher).go();
}

}  // namespace kd
