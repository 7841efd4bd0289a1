// kdbench nodes: the time of every node of a step, as --profile of a run tells it.
#include <iostream>

#include "cli/bench_parts.h"
#include "core/file.h"
#include "distill/step_profiler.h"

namespace kd::cli {

int bench_nodes(const BenchOptions& o) {
  Parts parts(o);
  parts.run("step");
  TrainingStep& step = parts.whole();
  StepProfiler profiler(step, parts.engine(), step.programs().images().desc().dtype);
  for (int64_t round = 0; round < o.rounds; ++round) {
    profiler.run(parts.batch());
    while (step.result()) continue;
  }
  std::cout << profile_table(profiler.profile());
  if (!o.output.empty()) write_file(o.output, chrome_trace(profiler.profile()));
  return 0;
}

}  // namespace kd::cli
