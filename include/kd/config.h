// Everything a run is told, in one struct; config files and flags fill it by the same names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "kd/data.h"
#include "kd/objective.h"

namespace kd {

struct RunConfig {
  std::string teacher, student, data, output;
  bool resume = false;
  int64_t epochs = 30, batch_size = 128;
  double lr = 0.1, momentum = 0.9, weight_decay = 5e-4, min_lr = 0;
  std::string opt = "nesterov";     // sgd, nesterov
  bool decay_norm_and_bias = true;  // weight decay on BN and biases too
  std::string sched = "one-cycle";  // constant, step, cosine, one-cycle
  double warmup_epochs = 0;         // linear warm-up (not one-cycle, which has its own)
  double rise = 0.15;               // one-cycle: share of steps with a rising rate
  double step_epochs = 10, step_factor = 0.1;
  std::string loss;    // "ce=0.1,kl=0.9"; empty: from alpha
  double alpha = 0.9;  // (1-alpha) ce + alpha kl, with a teacher
  double temperature = 4, label_smoothing = 0, margin = 2;
  std::string device = "auto";
  std::string precision = "auto";  // of the student: fp32, tf32, fp16, bf16; auto: fp16 on CUDA
  std::string teacher_precision = "auto";  // likewise
  std::string pipeline = "auto";           // serial, streams, graph
  std::string fusion = "auto";             // of the student: plain, f1, f2
  double loss_scale = 65536;               // fp16: where the dynamic loss scale begins
  bool autotune = false;
  std::string plan_cache;
  int64_t workers = 2, threads = 0, prefetch = 4;
  int64_t seed = 0;
  double val_split = 0;
  int64_t train_per_class = 0, max_bad_images = 0, eval_every = 1;
  double teacher_min_top1 = 0;  // percent
  int64_t pad_crop = 0;
  bool random_resized_crop = false;
  double flip = 0, colour_jitter = 0;
  bool dry_run = false;
};

// One setting: its name (flag --name, key "name"), where it lives, and its bounds if a number.
struct Setting {
  std::string name, help;
  std::variant<std::string*, int64_t*, double*, bool*> place;
  double low = 0, high = 0;
};
std::vector<Setting> settings(RunConfig& config);

void read_config(const std::filesystem::path& path,
                 RunConfig& config);                  // strict; throws Error{usage}
std::string config_to_json(const RunConfig& config);  // all of it, resolved
void check_config(const RunConfig& config);  // bounds and combinations; throws Error{usage}
std::vector<TermSpec> loss_terms(const RunConfig& config);

}  // namespace kd
