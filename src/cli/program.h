// What the programs share: one catch, exit codes, interrupts, and the suggestion for a mistyped
// flag.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "kd/config.h"

namespace kd::cli {

inline constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 usage, 2 input (a file, the data, a model), 3 device, 4 a bug in "
    "kdengine, "
    "130/143 interrupted (SIGINT/SIGTERM) with a checkpoint written.";

// Parses and runs; turns every exception into one line on stderr and an exit code.
int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

// Adds every setting as a flag.
void add_settings(CLI::App& app, RunConfig& config);
// The names of those that were given as flags.
std::vector<std::string> given_settings(const CLI::App& app, RunConfig& config);

std::string clock_text(double seconds);  // h:mm:ss

// SIGINT and SIGTERM are noted, not obeyed: 0 or the signal's number.
void watch_signals();
int caught_signal();

}  // namespace kd::cli
