// What a run needs before its first step: device, models, data, checked against each other.
#pragma once

#include <optional>

#include "distill/cacheable.h"
#include "distill/step_graph.h"
#include "kd/backend.h"
#include "kd/trainer.h"

namespace kd {

struct Setup {
  std::unique_ptr<Backend> backend;
  DataSplits data;
  Model student;
  std::vector<Model> teachers;
  std::map<std::string, Model> peers;  // that terms train, by TermSpec::model
  std::optional<Model> assistant;      // trains in the student's place in this stage
  LoaderOptions train, val;  // train: as the run has it; stages have augmentation of their own

  StepModels models() const;  // the learner of this stage, and the teachers
  Model& learner() { return assistant ? *assistant : student; }
  // What models are chosen by: the dev split where there is one.
  const std::shared_ptr<const Dataset>& chosen_by() const { return data.dev ? data.dev : data.val; }
};
// Before a stage: its assistant, or the student's new head. After it: the assistant teaches.
void begin_stage(Setup& setup, const RunConfig& stage);
void end_stage(Setup& setup);
// The loader's options in a stage.
LoaderOptions training_options(const Setup& setup, const RunConfig& stage);
// Of every picture; one without a label gets a number that no other has. Empty: none has a label.
std::vector<int32_t> labels_of(const Dataset& data);
Setup set_up(const RunConfig& config, const Watcher& watcher);

Device pick_device(const std::string& name, const Watcher& watcher);

}  // namespace kd
