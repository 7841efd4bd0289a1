// One run of a configuration: one seed, with its teachers or without.
#pragma once

#include "kd/trainer.h"

namespace kd {

RunSummary train_once(const RunConfig& config, const Watcher& watcher);

// The paired run without a teacher: the same seed, data, student, stages' lengths, optimisers and
// augmentation, and cross entropy as the only term (its label smoothing, if the recipe has any).
// Stages that only train an assistant are left out.
RunConfig baseline_of(const RunConfig& config);

}  // namespace kd
