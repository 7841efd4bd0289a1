// A compiled graph: ordered, one arena planned by liveness, every node prepared once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kd/backend.h"

namespace kd {

struct Binding {
  Value value;    // a leaf, or an output that should land in caller's memory
  Tensor tensor;  // row-major, same description
};

struct CompileOptions {
  std::vector<Value> outputs;     // kept after run(); everything else may share memory
  std::vector<Binding> bindings;  // leaves without a binding get memory of their own
  std::vector<Value> frozen;      // leaves that change only when weights_changed() is called
};

// One prepared node, as the plan shows it.
struct PlannedNode {
  std::string op, name, detail;
  Cost cost;
  size_t workspace = 0;
  int reorders = 0;
  std::vector<Value> outputs = {};
};

// Seconds of std::chrono::steady_clock.
struct Span {
  double begin = 0, end = 0;
  double seconds() const { return end - begin; }
};

class Program {
 public:
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;
  ~Program();

  void run(Stream& stream);      // only enqueues: allocates nothing, waits for nothing
  void weights_changed();        // frozen leaves have new contents: repack at the next run
  Tensor tensor(Value v) const;  // memory of a leaf or an output; throws Error for others

  size_t arena_bytes() const;    // activations, gradients and scratch memory
  int reorders_per_run() const;  // layout changes the engine makes in each run
  std::vector<PlannedNode> plan() const;
  // Runs once with a stop watch around each node, which is waited for: in the order of plan().
  std::vector<Span> profile(Stream& stream);

 private:
  friend Program compile(Graph graph, Backend& backend, const CompileOptions& options);
  struct Impl;
  explicit Program(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Expands fused ops that the backend lacks, drops nodes that no output needs (ops that update
// state are kept), orders, prepares and plans. Throws Error naming a node that can't be run.
Program compile(Graph graph, Backend& backend, const CompileOptions& options);

}  // namespace kd
