// --dry-run: what a run would do, and what one of its steps costs here.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "distill/precision.h"
#include "distill/setup.h"
#include "distill/training_step.h"
#include "kd/error.h"
#include "kd/trainer.h"

namespace kd {
namespace {

// The layers of a model in inference form, folded: what will be deployed.
std::string layers(const std::string& who, const Model& model, Backend& backend, DType dtype) {
  const Predictor predictor(model, backend, 1, dtype);
  double flops = 0;
  std::string text =
      fmt::format("{} {}: {} parameters\n  {:<18}{:<44}{:<28}{:>10}\n", who, model.name,
                  model.parameter_count(), "op", "layer", "output, one picture", "MFLOP");
  for (const PlannedNode& node : predictor.program().plan()) {
    flops += node.cost.flops;
    text += fmt::format("  {:<18}{:<44}{:<28}{:>10.2f}\n", node.op, node.name, node.detail,
                        node.cost.flops / 1e6);
  }
  return text + fmt::format("  {:.3f} GFLOP a picture\n", flops / 1e9);
}

Batch blank_batch(const LoaderOptions& options) {
  Batch batch = make_batch(options.preprocess, options.batch);
  std::fill_n(batch.labels.as<int32_t>(), batch.labels.elements(), 0);
  return batch;
}

double seconds_of_a_step(TrainingStep& step, const Batch& batch) {
  step.run(batch);  // packs what is packed once
  const auto start = std::chrono::steady_clock::now();
  step.run(batch);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double flops_of(const Program& program) {
  double flops = 0;
  for (const PlannedNode& node : program.plan()) flops += node.cost.flops;
  return flops;
}

}  // namespace

std::string describe_plan(const RunConfig& config) {
  const Setup setup = set_up(config, {});
  const Model* teacher = setup.teacher ? &*setup.teacher : nullptr;
  std::string text =
      layers("student", setup.student, *setup.backend, student_dtype(config, *setup.backend));
  if (teacher != nullptr) {
    text += layers("teacher", *teacher, *setup.backend, teacher_dtype(config, *setup.backend));
  }

  TrainingStep step(setup.student, teacher, config, *setup.backend, {0.0f});
  const double seconds = seconds_of_a_step(step, blank_batch(setup.train));
  double flops = flops_of(step.program());
  if (step.teacher() != nullptr) flops += flops_of(step.teacher()->program());
  const int64_t steps = setup.data.train->size() / config.batch_size;
  const auto row = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<12}{}\n", name, value);
  };
  row("engine", setup.backend->describe());
  row("data", fmt::format("{}: {} training, {} validation pictures, {} classes", setup.data.format,
                          setup.data.train->size(), setup.data.val->size(),
                          setup.data.train->class_names().size()));
  row("step", fmt::format("{} pictures, {:.2f} GFLOP, {:.0f} ms measured, {:.0f} images/s",
                          config.batch_size, flops / 1e9, seconds * 1e3,
                          static_cast<double>(config.batch_size) / seconds));
  row("memory", fmt::format("{:.1f} MiB of activations and scratch, {} weight reorders a step",
                            static_cast<double>(step.arena_bytes()) / (1 << 20), step.reorders()));
  row("steps", fmt::format("{} x {} epochs, about {:.0f} s without validation", steps,
                           config.epochs, seconds * static_cast<double>(steps * config.epochs)));
  return text;
}

}  // namespace kd
