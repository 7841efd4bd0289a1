// What of a stage's settings decides about its pictures, and whether its teachers can be kept.
#pragma once

#include "kd/config.h"
#include "kd/data.h"

namespace kd {

Augment augment_of(const StageConfig& stage);

// Throws Error{usage} where a stage's teacher can't be kept: a term that reads its layers, mixed
// pictures, batch norm by the batch, pictures that are new in each epoch.
void check_cacheable(const RunConfig& stage);
int64_t kept_views(const StageConfig& stage);  // of each picture; 1 where all are the same
bool uses_cache(const RunConfig& stage);       // a cache is asked for, and a term needs a teacher

}  // namespace kd
