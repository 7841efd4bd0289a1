// The update of a stage's weights as programs over the arenas: gradients summed over batches, the
// optimiser, what constrains and averages weights, and what each step counts.
#pragma once

#include <map>
#include <vector>

#include "distill/variables.h"
#include "kd/config.h"

namespace kd {

// The arenas that an update keeps: moments, start, average, sums, rate scales.
std::vector<std::string> update_arenas(const RunConfig& stage);

// Device memory that an update reads and writes besides the variables.
struct UpdateMemory {
  Tensor lr;               // f32 (1)
  Tensor scale;            // f32 (1): the loss scale
  Tensor counters;         // i32 (2): good steps in a row, updates skipped
  Tensor updates;          // i64 (2): seed, updates so far
  Tensor rate_scale;       // f32 (P), or empty
  Tensor key, row, table;  // as advance_step's
};

class Update {
 public:
  Update(const RunConfig& stage, const Variables& variables, const UpdateMemory& memory,
         Backend& backend);
  // After each batch; every `accumulate`th changes the weights.
  void run(Stream& stream) {
    run_by([&](Program& program) { program.run(stream); });
  }
  // The same, with each program that this batch needs run by the caller.
  template <class F>
  void run_by(F&& run_program) {
    if (!sums_.empty()) run_program(sums_[done_ == 0 ? 0 : 1]);
    done_ = (done_ + 1) % accumulate_;
    if (done_ == 0) run_program(update_);
    run_program(advance_);
  }
  std::vector<Program*> programs();  // all that there are
  Program& program() { return update_; }
  // The next batch is this one of the stage.
  void seek(int64_t batch) { done_ = batch % accumulate_; }

 private:
  Program sum(double keep, const Variables& variables, Backend& backend) const;
  Program make_update(const RunConfig& stage, const Variables& variables,
                      const UpdateMemory& memory, Backend& backend) const;
  int64_t accumulate_, done_ = 0;  // batches
  std::vector<Program> sums_;      // first, further; empty: none are summed
  Program update_, advance_;
};

// The factor of each parameter that --lr-scale names. Throws Error{usage} for an entry that is no
// layer=factor or matches no layer.
std::map<std::string, double> rate_factors(const RunConfig& stage,
                                           const std::vector<std::string>& trained);
// One factor for each element of the arenas; empty where all are 1.
std::vector<float> rate_scales(const RunConfig& stage, const Variables& variables);

}  // namespace kd
