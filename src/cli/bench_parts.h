// The parts of a training step that can be timed apart.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench.h"
#include "cli/bench_isolated.h"
#include "distill/training_step.h"

namespace kd::cli {

class Parts {
 public:
  explicit Parts(const BenchOptions& options);

  static const std::vector<std::string>& names();  // step, teacher, student, loss, optimizer, input
  // Also "loss/K/B", "loss/K/B/f16": the loss over other logits. Ends when the work has ended.
  void run(const std::string& part) { measure(part, 1); }
  // Seconds of each of `repeats` runs; on a GPU one value, their mean, as they are enqueued
  // together.
  std::vector<double> seconds(const std::string& part, int64_t repeats);

  void restart();          // from the first weights again
  double loss();           // that of one more step
  double gradient_norm();  // of the last step
  // What another program needs to do the same work: both models, and the batch.
  void save(const std::filesystem::path& folder) const;
  TrainingStep& whole() { return *whole_; }
  const Backend& engine() const { return *backend_; }
  Backend& engine() { return *backend_; }
  const Batch& batch() const { return batch_; }
  double arena_mib() const { return static_cast<double>(whole_->arena_bytes()) / (1 << 20); }

 private:
  double measure(const std::string& part, int64_t runs);
  double measure_step(TrainingStep& step, int64_t runs);
  double squares(const Tensor& gradients);
  Tensor network_input() const;
  Isolated::Build build_of(const std::string& part) const;
  Isolated& isolated(const std::string& part);

  RunConfig config_;
  std::unique_ptr<Backend> backend_;
  Model teacher_, student_;
  Batch batch_;
  // All but the whole step are made when first asked for, so that peak memory until then is the
  // step's.
  std::optional<TrainingStep> whole_, alone_;
  std::map<std::string, Isolated> isolated_;
  double loss_scale_ = 1;  // of the last step
};

}  // namespace kd::cli
