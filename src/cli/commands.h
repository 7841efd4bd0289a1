// The subcommands of kdengine. Each adds itself to the program and returns what runs it.
#pragma once

#include "cli/program.h"

namespace kd::cli {

struct Command {
  CLI::App* app;
  std::function<int()> run;
};

int run_training(const RunConfig& config);
Command eval_command(CLI::App& app);
Command predict_command(CLI::App& app);
Command mistakes_command(CLI::App& app);
Command compare_command(CLI::App& app);
Command report_command(CLI::App& app);
Command search_command(CLI::App& app);
Command cache_command(CLI::App& app);

}  // namespace kd::cli
