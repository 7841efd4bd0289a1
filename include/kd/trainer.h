// The main job: train a student, with a teacher or without. README.md of src/distill describes the
// run folder.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kd/config.h"
#include "kd/error.h"

namespace kd {

struct StepReport {                                    // while an epoch runs
  int64_t epoch = 0, epochs = 0, step = 0, steps = 0;  // epochs: of the run; step: of the epoch
  double loss = 0, top1 = 0;                           // of the epoch so far; percent
  double images_per_second = 0, seconds_left = 0;      // left: of the whole run
  double wait_percent = 0;  // of the epoch's time so far, in which the step waited for pictures
};

struct EpochReport {
  int64_t epoch = 0;  // of the run, from 1
  std::string stage;  // its name; empty in a run without stages
  double lr = 0, train_loss = 0;
  double train_top1 = 0;  // percent; -1: the stage's objective has no use for logits
  std::vector<std::pair<std::string, double>> terms;  // mean of each term, unweighted
  bool validated = false;
  double val_loss = 0, val_top1 = 0;
  double images_per_second = 0, wait_percent = 0, seconds = 0;
};

struct RunSummary {
  bool interrupted = false;
  double teacher_top1 = -1;             // of the first teacher, percent; -1: none
  double best_top1 = 0, last_top1 = 0;  // of the pictures that the best epoch is chosen by
  double test_top1 = -1;                // of the best epoch, on the test pictures; -1: none
  int64_t best_epoch = 0, parameters = 0, teacher_parameters = 0;
  double images_per_second = 0, seconds = 0;
};

// The loss was NaN or infinite. Its exit code is that of wrong input.
class Diverged : public Error {
 public:
  explicit Diverged(const std::string& what) : Error(ErrorCode::input, what) {}
};

// Who watches. Every function may be empty.
struct Watcher {
  std::function<void(const std::string&)> note;  // one line of plain text
  std::function<void(const StepReport&)> step;
  std::function<void(const EpochReport&)> epoch;
  std::function<bool()> stop;  // true: finish the step, write the checkpoint, return
};

// Runs `config`; throws Error. The output folder holds best.bin, last.bin, checkpoint/,
// metrics.jsonl, run.json, scorecard.json; with --baseline also baseline/, a run of its own; with
// --seeds N such folders seed_0, seed_1, ... (the summary is then the last one's). With `resume`,
// what is finished is left as it is.
RunSummary train(const RunConfig& config, const Watcher& watcher);

// What train() would do, as text: layers, parameters, FLOPs, memory, steps, and what a step takes.
std::string describe_plan(const RunConfig& config);

// A model file or an architecture (.json), by its name's ending.
Model load_or_build(const std::string& path, int64_t classes, int64_t seed);

}  // namespace kd
