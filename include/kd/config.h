// Everything a run is told, in one struct tree: a run, and the stages it goes through. Flags,
// config files and recipes (models/recipes/README.md) fill it by the same names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "kd/data.h"
#include "kd/objective.h"
#include "kd/search_space.h"

namespace kd {

// What may differ from stage to stage.
struct StageConfig {
  std::string name;  // in messages, metrics and the plan
  int64_t epochs = 30;
  double lr = 0.1, momentum = 0.9, weight_decay = 5e-4, min_lr = 0;
  // sgd, nesterov, adagrad, rmsprop, adam, adamw, lamb: formulas in kd/optimizer_ops.h
  std::string opt = "nesterov";
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, rms_decay = 0.99;
  bool decay_norm_and_bias = true;  // weight decay on BN and biases too
  std::string sched = "one-cycle";  // constant, step, multi-step, cosine, one-cycle
  std::vector<double> milestones;   // multi-step: epochs of the drops
  double warmup_epochs = 0;         // linear warm-up (not one-cycle, which has its own)
  double rise = 0.15;               // one-cycle: share of steps with a rising rate
  double step_epochs = 10, step_factor = 0.1;
  std::string loss;             // "ce=0.1,kl=0.9"; empty: `terms`, or from alpha
  std::vector<TermSpec> terms;  // what a recipe's list "terms" says
  double alpha = 0.9;           // (1-alpha) ce + alpha kl, with a teacher
  double temperature = 4, label_smoothing = 0, margin = 2;
  // Layer paths with * and ?: what trains (empty: all), less what is frozen.
  std::vector<std::string> train, freeze;
  std::vector<int64_t> use_teachers;    // which teach in this stage, from 0; empty: all
  std::string teacher_mix = "logits";   // of several: logits, probabilities, confidence
  std::vector<double> teacher_weights;  // of the mix; empty: alike
  std::vector<double> teacher_join;     // the epoch of the stage at which each joins; empty: 0
  std::string teacher_mode = "eval";    // batch norm of the teachers: eval, train
  // Module replacement: the probability that a module of the first teacher in use is replaced by
  // the student's, at the first and the last step of the stage; both 0: off.
  double replace_from = 0, replace_to = 0;
  // Regularisers; 0 is off.
  double l1 = 0;                // beside weight decay: elastic net
  double l2_start = 0;          // L2 towards the weights at the stage's start
  double max_norm = 0;          // L2 norm of each output unit's weights
  double clip_norm = 0;         // L2 norm of the whole gradient
  double gradient_penalty = 0;  // 1/2 |d loss / d pictures|^2
  double ema = 0;               // decay of the weights' moving average, which is then what is saved
  int64_t accumulate = 1;       // batches an update
  std::vector<std::string> lr_scale;  // "layer=factor": of the learning rate, by layer path
  // The head: a new one, of hidden layers of these widths (0 or more) before the last.
  bool new_head = false;
  std::vector<int64_t> head_hidden;
  double head_dropout = 0;
  // A network that trains in this stage in the student's place and teaches in later ones.
  std::string assistant;
  int64_t pad_crop = 0;
  bool random_resized_crop = false, jpeg_scaling = false;
  double flip = 0, colour_jitter = 0;
  int64_t rand_augment = 0;
  double rand_augment_magnitude = 9, erasing = 0;
  double mixup = 0, cutmix = 0, mix_probability = 1;
  int64_t views = 0;  // augmented views of a picture, in turn; 0: a new one each epoch
};

struct RunConfig : StageConfig {
  std::vector<std::string> teacher;
  std::string student, data, output;
  bool resume = false;
  int64_t batch_size = 128;
  std::string device = "auto";
  std::string precision = "auto";  // of the student: fp32, tf32, fp16, bf16; auto: fp16 on CUDA
  std::string teacher_precision = "auto";  // likewise
  std::string pipeline = "auto";           // serial, streams, graph
  std::string fusion = "auto";             // of the student: plain, f1, f2
  double loss_scale = 65536;               // fp16: where the dynamic loss scale begins
  bool autotune = false;
  std::string plan_cache;
  std::string teacher_cache;          // folder of the teachers' logits, or "auto"; empty: none
  std::string cache_format = "fp32";  // of them: fp32, fp16, or the highest K: top1, top2, ...
  int64_t workers = 2, threads = 0, prefetch = 4;
  int64_t seed = 0;
  double val_split = 0;
  double dev_split = 0;            // of the training pictures, to choose by; 0: by validation
  std::vector<std::string> extra;  // further folders of training pictures
  bool init_from_teacher = false;  // the student begins with the first teacher's weights
  bool baseline = false;           // trains the paired student without a teacher, too
  int64_t seeds = 1;               // runs, with seeds from `seed` on
  int64_t train_per_class = 0, max_bad_images = 0, eval_every = 1;
  double teacher_min_top1 = 0;  // percent
  bool dry_run = false;
  bool profile = false;                 // times some steps node by node: trace.json, profile.txt
  bool scorecard = true;                // of a finished run; a search does without (no setting)
  std::vector<StageConfig> stages;      // of a recipe; empty: this struct is the one stage
  std::vector<SearchDimension> search;  // what `kdengine search` varies; training ignores it
  int64_t assistants = 0;               // at_stage() counts those of the stages before
};

// One setting: its name (flag --name, key "name"), where it lives, and its bounds if a number.
struct Setting {
  std::string name, help;
  std::variant<std::string*, int64_t*, double*, bool*, std::vector<std::string>*,
               std::vector<int64_t>*, std::vector<double>*>
      place;
  double low = 0, high = 0;
};
std::vector<Setting> settings(RunConfig& config);          // of the run, stage settings included
std::vector<Setting> stage_settings(StageConfig& config);  // those that a stage may set

// Strict: an unknown key, a wrong type or an unknown term throw Error{usage} naming the place and
// the nearest valid name. A stage begins as what the file says outside `stages`.
void read_config(const std::filesystem::path& path, RunConfig& config);
// Flags win over a recipe: takes the named settings of the run into every stage.
void override_stages(RunConfig& config, std::span<const std::string> names);
std::string config_to_json(const RunConfig& config);  // all of it, resolved
void check_config(const RunConfig& config);  // bounds and combinations; throws Error{usage}

// The run as one stage sees it: its settings in place of the run's, and no stages.
int64_t stage_count(const RunConfig& config);
RunConfig at_stage(const RunConfig& config, int64_t stage);
// The objective of such a stage: what `loss`, `terms` or `alpha` say, in this order.
std::vector<TermSpec> loss_terms(const RunConfig& config);

}  // namespace kd
