// A small graph compiled on its own, its leaves filled with random numbers: what is timed apart
// from a network.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kd/program.h"

namespace kd::cli {

class Isolated {
 public:
  // `build` adds the nodes and returns the outputs that are kept. Parameters are frozen, as those
  // of a teacher; leaves called lr, key or counters stay zero, those called *var are positive.
  using Build = std::function<std::vector<Value>(Graph&)>;
  Isolated(const Build& build, Backend& backend);

  void enqueue() { program_->run(*stream_); }
  void wait() { backend_.synchronize(*stream_); }
  double seconds(int64_t runs);  // of all of them together, until the last has ended
  Cost cost() const { return cost_; }
  int reorders() const { return program_->reorders_per_run(); }

 private:
  void fill(const ValueInfo& leaf, const Tensor& tensor);

  Backend& backend_;
  std::unique_ptr<Stream> stream_;
  std::optional<Program> program_;
  Cost cost_;  // of the nodes as built, whatever the engine makes of them
};

// Bytes of all values of the graph that `build` makes.
double bytes_of(const Isolated::Build& build);

}  // namespace kd::cli
