// Building a case's graph in its variants, running it on an engine, and comparing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cases/case.h"
#include "kd/backend.h"
#include "kd/program.h"

namespace kd::test {

// A leaf, what it holds before each run, and whether a run may overwrite it.
struct Bound {
  Value value;
  Array contents;
  bool updated = false;
};

// A graph with everything it needs to run.
struct Built {
  Graph graph;
  std::vector<Bound> leaves;  // first those of the case, in its order
  std::vector<Value> outputs;
};
Built build(const Case& a_case, const Arrays& contents);
// Every fused op replaced by its definition in base ops, until none is left.
Built build_expanded(const Case& a_case, const Arrays& contents);
// Every picture (rank 4) passes a 1x1 convolution with identity weights on its way in and out, so
// that the op in between meets the convolutions' memory layouts.
Built build_blocked(const Case& a_case, const Arrays& contents);

bool has_fused_op(const Case& a_case);
bool has_gradient(const Case& a_case);

Backend& cpu();
bool runs_on(const Built& built, const Backend& backend);  // every node, expanded if it must be

// Compiles and runs twice, every output filled with NaN (0xFF) before each run, and returns the
// outputs and then the updated leaves. Throws std::runtime_error if the two runs differ in a bit,
// if a leaf that is not `updated` changed, or if memory around a tensor did.
Arrays execute(const Built& built, Backend& backend = cpu());

// Appends the gradients of sum(seed * output) with respect to `wrt` as the only outputs.
struct SeedOf {
  Value output;
  Array seed;
};
void differentiate_outputs(Built& built, const std::vector<SeedOf>& seeds,
                           const std::vector<Value>& wrt);

// Empty if `got` is `want` within the tolerance, else a sentence about the worst element.
std::string difference(const Array& got, const Array& want, const Tolerance& tolerance,
                       const std::string& what);

}  // namespace kd::test
