// kdbench nodes: the time of every node of the teacher's and the student's program.
#include <fmt/format.h>

#include <iostream>
#include <map>

#include "cli/bench_parts.h"

namespace kd::cli {
namespace {

void print_profile(const std::string& title, Program& program, Stream& stream, int64_t rounds) {
  const std::vector<PlannedNode> plan = program.plan();
  std::vector<std::vector<double>> runs(plan.size());
  for (int64_t round = 0; round < rounds; ++round) {
    const std::vector<double> times = program.profile(stream);
    for (size_t i = 0; i < times.size(); ++i) runs[i].push_back(times[i]);
  }
  std::map<std::string, double> of_op;
  double sum = 0;
  std::cout << title << "\n";
  for (size_t i = 0; i < plan.size(); ++i) {
    const double ms = median(runs[i]);
    sum += ms;
    of_op[plan[i].op] += ms;
    std::cout << fmt::format("  {:8.3f} ms {:7.1f} GFLOP/s {:6.1f} GB/s  {:<26} {} {}\n", ms,
                             plan[i].cost.flops / ms * 1e-6, plan[i].cost.bytes / ms * 1e-6,
                             plan[i].op, plan[i].name, plan[i].detail);
  }
  std::cout << fmt::format("{}: {:.2f} ms\n", title, sum);
  for (const auto& [op, ms] : of_op) {
    std::cout << fmt::format("  {:8.3f} ms {:5.1f} %  {}\n", ms, 100 * ms / sum, op);
  }
}

}  // namespace

int bench_nodes(const BenchOptions& o) {
  Parts parts(o);
  parts.run("step");
  TrainingStep& step = parts.whole();
  print_profile("teacher", step.teachers()->predictors()[0].program(), step.stream(), o.rounds);
  print_profile("student", step.program(), step.stream(), o.rounds);
  print_profile("update", step.programs().update(), step.stream(), o.rounds);
  return 0;
}

}  // namespace kd::cli
