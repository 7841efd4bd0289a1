// --dry-run: what a run would do, and what one of its steps costs here.
#include <fmt/format.h>

#include <algorithm>

#include "core/stop_watch.h"
#include "distill/module_replacement.h"
#include "distill/precision.h"
#include "distill/setup.h"
#include "distill/training_step.h"
#include "kd/error.h"
#include "kd/trainer.h"

namespace kd {
namespace {

// The layers of a model in inference form, folded: what will be deployed.
std::string layers(const std::string& who, const Model& model, Backend& backend, DType dtype) {
  const Predictor predictor(model, backend, 1, {dtype, {}, Mode::inference});
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
  return seconds_of([&] { step.run(batch); });
}

double flops_of(const Program& program) {
  double flops = 0;
  for (const PlannedNode& node : program.plan()) flops += node.cost.flops;
  return flops;
}

// What a stage does, before anything is measured.
std::string describe_objective(const RunConfig& stage, const StepGraph& graph) {
  std::string text;
  const auto row = [&](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<12}{}\n", name, value);
  };
  row("length", fmt::format("{} epochs, {} {}, lr {}, weight decay {}", stage.epochs, stage.sched,
                            stage.opt, stage.lr, stage.weight_decay));
  for (const TermSpec& spec : loss_terms(stage)) {
    std::string line = fmt::format("{} x {}", spec.weight, spec.name);
    const TermDef& def = term(spec.name);
    for (const TermParam& param : def.params) {
      const auto given = spec.params.find(std::string(param.name));
      line += fmt::format("{} {} {}", &param == &def.params.front() ? ":" : ",", param.name,
                          given == spec.params.end() ? param.fallback : given->second);
    }
    if (!spec.model.empty()) line += fmt::format("; trains {} along, to peer.bin", spec.model);
    const WeightSchedule& s = spec.schedule;
    if (!s.constant()) {
      line += fmt::format("; times {} at epoch {} to {} at epoch {}", s.from, s.begin, s.to, s.end);
    }
    row("term", line);
  }
  if (!graph.replaced.empty()) {
    row("replaces",
        fmt::format("{} modules of teacher {}, with probability {} to {}", graph.replaced.size(),
                    predecessor_of(stage), stage.replace_from, stage.replace_to));
  }
  for (const std::string& line : graph.adapters) row("adapter", line + ", not saved");
  int64_t trained = 0;
  for (const Value v : graph.parameters) trained += graph.graph.shape(v).elements();
  row("trains", fmt::format("{} tensors, {} numbers", graph.parameters.size(), trained));
  if (!graph.unreached.empty()) {
    row("untouched",
        fmt::format("{} tensors that no term depends on, from {} to {}", graph.unreached.size(),
                    graph.unreached.front(), graph.unreached.back()));
  }
  return text;
}

std::string measure_stage(const Setup& setup, const RunConfig& stage) {
  std::string text;
  const auto row = [&](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<12}{}\n", name, value);
  };
  const Batch batch = blank_batch(setup.train);
  TrainingStep step({.models = setup.models(),
                     .stage = stage,
                     .schedule = StepSchedule({0.0f}),
                     .population = setup.data.train->size(),
                     .all_labels = labels_of(*setup.data.train),
                     .pixels = batch.pixels.shape()},
                    *setup.backend);
  text += describe_objective(stage, step.programs().graph());
  const double seconds = seconds_of_a_step(step, batch);
  double flops = flops_of(step.program());
  if (step.teachers() != nullptr) {
    for (const Predictor& teacher : step.teachers()->predictors()) {
      flops += flops_of(teacher.program());
    }
  }
  const int64_t steps = setup.data.train->size() / stage.batch_size;
  row("step", fmt::format("{} pictures, {:.2f} GFLOP, {:.0f} ms measured, {:.0f} images/s",
                          stage.batch_size, flops / 1e9, seconds * 1e3,
                          static_cast<double>(stage.batch_size) / seconds));
  row("memory", fmt::format("{:.1f} MiB of activations and scratch, {} weight reorders a step",
                            static_cast<double>(step.arena_bytes()) / (1 << 20), step.reorders()));
  row("steps", fmt::format("{} x {} epochs, about {:.0f} s without validation", steps, stage.epochs,
                           seconds * static_cast<double>(steps * stage.epochs)));
  return text;
}

}  // namespace

std::string describe_plan(const RunConfig& config) {
  Setup setup = set_up(config, {});
  std::string text =
      layers("student", setup.student, *setup.backend, student_dtype(config, *setup.backend));
  for (const Model& teacher : setup.teachers) {
    text += layers("teacher", teacher, *setup.backend, teacher_dtype(config, *setup.backend));
  }
  text += fmt::format("engine        {}\n", setup.backend->describe());
  text += fmt::format("data          {}: {} training, {} validation pictures, {} classes\n",
                      setup.data.format, setup.data.train->size(), setup.data.val->size(),
                      setup.data.train->class_names().size());
  for (int64_t i = 0; i < stage_count(config); ++i) {
    const RunConfig stage = at_stage(config, i);
    text += config.stages.empty() ? "run\n" : stage.name + "\n";
    begin_stage(setup, stage);
    text += measure_stage(setup, stage);
    end_stage(setup);
  }
  return text;
}

}  // namespace kd
