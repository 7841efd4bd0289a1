// The scorecard of a run: what a student is worth beside its teacher and beside the same student
// trained without one. score() measures logits; a run's folder keeps the result as scorecard.json,
// and report_page() makes one HTML page of any number of runs.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kd/tensor.h"

namespace kd {

// What models answered to the same pictures, in the same order.
struct SplitLogits {
  std::vector<int> labels;            // (N), each 0 to K-1
  Tensor student, teacher, baseline;  // f32 (N, K) on the host; an empty one: no such model
};

struct ScoreInputs {
  std::vector<std::string> class_names;  // (K)
  SplitLogits test;                      // what is reported
  SplitLogits dev;  // used for the temperature only; no labels: there is no such split
  std::vector<int64_t> sample_ids;        // (N) of the test split; empty: 0 to N-1
  std::vector<std::string> sample_names;  // (N) of the test split; may be empty
  // A small PNG file of a picture of the test split; may be empty.
  std::function<std::vector<std::byte>(int64_t sample_id)> thumbnail;
  int64_t worst_classes = 5, examples_per_class = 6;
};

// Expected calibration error: equally wide bins of confidence (the largest probability); bin b has
// b/15 <= confidence < (b+1)/15, the last one also 1. ECE = sum_b n_b/N |accuracy_b -
// confidence_b| (Guo et al. 2017, arXiv 1706.04599), in percent.
inline constexpr int kReliabilityBins = 15;
struct ReliabilityBin {
  int64_t count = 0;
  double confidence = 0, accuracy = 0;  // means, 0 to 1; 0 in an empty bin
};

struct Calibration {
  double nll = 0;                    // mean -log p of the label, nats
  double brier = 0;                  // mean of sum_k (p_k - [k = label])^2, 0 to 2
  double ece = 0;                    // percent
  std::vector<ReliabilityBin> bins;  // (15)
};

struct ModelScore {
  double top1 = 0, top5 = 0;  // percent; a label counts only if fewer than 1, 5 others are as high
  Calibration raw;            // at T = 1
  std::optional<double> temperature;  // minimises the dev split's NLL; none without a dev split
  std::optional<Calibration> fitted;  // at that temperature
  std::vector<std::optional<double>> class_top1;  // (K), percent; none: no picture of that class
};

struct Mistake {
  int64_t sample_id = 0;
  std::string name;
  int predicted = 0;
  double confidence = 0;       // the probability of `predicted`
  std::vector<std::byte> png;  // may be empty
};
struct WorstClass {
  int label = 0;
  std::vector<Mistake> mistakes;  // the most confident ones first
};

// Filled in by whoever measured; what is not known stays empty.
struct ModelCost {
  std::optional<double> parameters, flops;  // flops: of one picture, forwards
  std::optional<double> latency_ms;         // batch 1, median
  std::optional<double> images_per_second;  // at the batch size of the run
  std::optional<double> peak_memory_bytes;
};

struct Scorecard {
  std::vector<std::string> class_names;  // (K)
  int64_t test_samples = 0;
  int64_t dev_samples = 0;  // 0: no dev split, so the best epoch was picked on the test split
  ModelScore student;
  std::optional<ModelScore> teacher, baseline;
  std::optional<double> agreement;   // percent of pictures with the same answer as the teacher's
  std::optional<double> kl;          // mean KL(teacher || student) at T = 1, nats
  std::vector<int64_t> confusion;    // (K, K) of the student: row label, column answer
  std::vector<WorstClass> worst;     // lowest class_top1 first
  std::optional<double> gap_closed;  // (student - baseline) / (teacher - baseline)
  ModelCost student_cost, teacher_cost;  // left to the caller
  // Top-1 on the training pictures, percent; left to the caller.
  std::optional<double> student_train_top1, teacher_train_top1;
};

// Throws Error where shapes, labels and names do not fit together or a logit is not finite.
Scorecard score(const ScoreInputs& inputs);

// (student - baseline) / (teacher - baseline); none where the teacher is not better than the
// baseline, for then there is no gap.
std::optional<double> gap_closed(double student, double teacher, double baseline);

// scorecard.json. The reader is strict; a number that is not finite is an Error, never written.
std::string scorecard_to_json(const Scorecard& card);
Scorecard scorecard_from_json(std::string_view text, const std::string& where);
void save_scorecard(const Scorecard& card, const std::filesystem::path& run_folder);

// The key "failure" of run.json: where the loss stopped being finite.
struct Failure {
  int64_t step = 0;
  std::string term, layer;  // whichever is known
  std::string tensor;       // the first bad one
  std::vector<int64_t> sample_ids;
};
std::string failure_to_json(const Failure& failure);

// One self-contained HTML page that compares runs. Each folder is a run (run.json; its paired
// baseline, if any, in baseline/), or holds such folders as seed_0, seed_1, ...
std::string report_page(const std::vector<std::string>& run_folders);

}  // namespace kd
