// Where the time of a step goes: every node of its programs, timed one at a time in some steps, as
// a table and as a trace.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "distill/roofline.h"
#include "kd/program.h"

namespace kd {

struct ProfiledNode {
  std::string layer, op, detail;  // detail: what it makes
  Cost cost;
  std::vector<Span> spans = {};  // of each step that ran it: not all update weights
};

// A row of the trace: loader, copy, teacher, forward, backward, optimiser.
struct ProfiledPart {
  std::string name;
  std::vector<ProfiledNode> nodes;
};

struct Profile {
  Roofline roof;
  std::vector<ProfiledPart> parts;

  size_t steps() const;
};

// A line of the table: the sum of the nodes that it stands for, each by its median, and by the
// share of the steps that ran it.
struct ProfileLine {
  std::string part, op, layer, detail;  // what all its nodes share, else empty
  double seconds = 0, share = 0;        // share: of a step, 0 to 1
  double flops_per_second = 0, bytes_per_second = 0;
  // The least time that the machine's roof allows, over the time; 0: no cost. Above 1 where what is
  // read is still in a cache: the roof is that of memory.
  double of_roof = 0;
  bool memory_bound = false;
};
std::vector<ProfileLine> lines_of_parts(const Profile& profile);
std::vector<ProfileLine> lines_of_ops(const Profile& profile);     // the longest first
std::vector<ProfileLine> lines_of_layers(const Profile& profile);  // in the order they run

// Parts, ops, and the `most` layers that take longest, in the order they run.
std::string profile_table(const Profile& profile, size_t most = std::numeric_limits<size_t>::max());

// In the Trace Event Format, which chrome://tracing and ui.perfetto.dev read: a thread for each
// part, a complete event ("X") for each node of each step; microseconds from the first event.
std::string chrome_trace(const Profile& profile);

}  // namespace kd
