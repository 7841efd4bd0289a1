// What a run needs before its first step: device, models, data, checked against each other.
#pragma once

#include <optional>

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
  LoaderOptions train, val;  // train: as the run has it; stages have augmentation of their own

  StepModels models() const;
};
// The loader's options in a stage.
LoaderOptions training_options(const Setup& setup, const RunConfig& stage);
Setup set_up(const RunConfig& config, const Watcher& watcher);

Device pick_device(const std::string& name, const Watcher& watcher);

}  // namespace kd
