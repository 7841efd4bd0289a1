// cache: the teachers' logits, computed ahead of a run.
#include <fmt/format.h>

#include <iostream>

#include "cli/commands.h"
#include "cli/progress.h"
#include "distill/cache_filling.h"
#include "kd/error.h"

namespace kd::cli {
namespace {

struct CacheOptions {
  RunConfig config;
  bool verify = false;
};

CacheWatcher watcher_of(StatusLine& line) {
  return {[&line](const std::string& text) { line.say(text); },
          [&line](const CacheProgress& p) {
            if (!line.due()) return;
            line.draw(fmt::format("{} of {} pictures  left {}", p.done, p.pictures,
                                  clock_text(p.seconds_left)));
          },
          [] { return caught_signal() != 0; }};
}

int run_cache(CacheOptions& options) {
  RunConfig& config = options.config;
  if (config.teacher_cache.empty()) fail(ErrorCode::usage, "--teacher-cache is missing");
  if (config.output.empty())
    config.output = "unused";  // a training run's; nothing is written there
  if (config.dry_run) {
    std::cout << describe_cache(config);
    return 0;
  }
  watch_signals();
  StatusLine line(std::chrono::seconds(10));
  const CacheWatcher watcher = watcher_of(line);
  if (options.verify) {
    verify_cache(config, watcher);
    return 0;
  }
  if (fill_cache(config, watcher)) return 0;
  watcher.note("interrupted: the same command continues");
  return 128 + caught_signal();
}

}  // namespace

Command cache_command(CLI::App& app) {
  auto options = std::make_shared<CacheOptions>();
  CLI::App* command = app.add_subcommand(
      "cache", "computes the teachers' logits ahead of a run, with that run's settings");
  command->add_option_function<std::string>(
      "--recipe,--config",
      [options](const std::string& file) { read_config(file, options->config); },
      "JSON file of settings, terms and stages");
  command->add_flag("--verify", options->verify, "checks what is there instead");
  add_settings(*command, options->config);
  return {command, [options, command] {
            override_stages(options->config, given_settings(*command, options->config));
            return run_cache(*options);
          }};
}

}  // namespace kd::cli
