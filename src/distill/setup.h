// What a run needs before its first step: device, models, data, checked against each other.
#pragma once

#include <optional>

#include "kd/backend.h"
#include "kd/trainer.h"

namespace kd {

struct Setup {
  std::unique_ptr<Backend> backend;
  DataSplits data;
  Model student;
  std::optional<Model> teacher;
  LoaderOptions train, val;
};
Setup set_up(const RunConfig& config, const Watcher& watcher);

Device pick_device(const std::string& name, const Watcher& watcher);

}  // namespace kd
