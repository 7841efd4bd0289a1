// The teachers' logits of all pictures, computed ahead of a run, or checked.
#pragma once

#include "kd/trainer.h"

namespace kd {

struct CacheProgress {
  std::string stage, file;
  int64_t done = 0, pictures = 0;  // of the views of all pictures
  double seconds_left = 0;
};
struct CacheWatcher {
  std::function<void(const std::string&)> note;
  std::function<void(const CacheProgress&)> step;
  std::function<bool()> stop;  // true: finish the batch, return
};

// What a cache would take, as text: a line for each file. Writes nothing.
std::string describe_cache(const RunConfig& config);
// Computes what is missing for every stage; false: stopped before the end. Says how far a format
// that is not exact changes what the teacher says.
bool fill_cache(const RunConfig& config, const CacheWatcher& watcher);
// Reads every record, and runs the teachers on some pictures again. Throws Error where one is
// damaged, or an exact one differs in a bit.
void verify_cache(const RunConfig& config, const CacheWatcher& watcher);

}  // namespace kd
