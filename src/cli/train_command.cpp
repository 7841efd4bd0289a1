// Training: a progress bar on a terminal, plain lines elsewhere, a table at the end.
#include <fmt/format.h>

#include <iostream>

#include "cli/commands.h"
#include "cli/progress.h"
#include "core/peak_memory.h"
#include "kd/trainer.h"

namespace kd::cli {
namespace {

// Above this the step waits for pictures: the loader is what limits the speed.
constexpr double kMuchWaiting = 10;  // percent

class Display {
 public:
  Watcher watcher() {
    return {[this](const std::string& line) { line_.say(line); },
            [this](const StepReport& r) { step(r); }, [this](const EpochReport& r) { epoch(r); },
            [] { return caught_signal() != 0; }};
  }
  void say(const std::string& line) { line_.say(line); }

 private:
  void step(const StepReport& r) {
    if (!line_.due()) return;
    line_.draw(fmt::format(
        "epoch {}/{} {} loss {:.3f}  top-1 {:.1f} %  {:.0f} img/s  left {}{}", r.epoch, r.epochs,
        bar_text(r.step, r.steps), r.loss, r.top1, r.images_per_second, clock_text(r.seconds_left),
        r.wait_percent > kMuchWaiting ? fmt::format("  waits for data {:.0f} %", r.wait_percent)
                                      : ""));
  }
  void epoch(const EpochReport& r) {
    std::string line =
        fmt::format("epoch {:3}  lr {:.5f}  train loss {:.4f}", r.epoch, r.lr, r.train_loss);
    if (r.train_top1 >= 0) line += fmt::format("  top-1 {:5.2f} %", r.train_top1);
    if (r.validated)
      line += fmt::format("  val loss {:.4f}  top-1 {:5.2f} %", r.val_loss, r.val_top1);
    line += fmt::format("  {:.0f} img/s  data wait {:.1f} %", r.images_per_second, r.wait_percent);
    if (r.wait_percent > kMuchWaiting) line += ": the loader is the bottleneck";
    say(line);
    if (r.wait_percent > kMuchWaiting && !advised_) {
      say("pictures come slower than they are used: more --workers, or a packed set (kdpack)");
      advised_ = true;
    }
  }

  StatusLine line_;
  bool advised_ = false;
};

void print_summary(const RunConfig& config, const RunSummary& s) {
  const auto row = [](std::string_view name, const std::string& value) {
    std::cout << fmt::format("  {:<22}{}\n", name, value);
  };
  std::cout << "\n";
  if (s.teacher_top1 >= 0) {
    row("teacher",
        fmt::format("top-1 {:.2f} %, {} parameters", s.teacher_top1, s.teacher_parameters));
  }
  if (s.best_epoch > 0) {  // there were pictures to validate with
    row("student, best", fmt::format("top-1 {:.2f} % (epoch {})", s.best_top1, s.best_epoch));
    row("student, last", fmt::format("top-1 {:.2f} %", s.last_top1));
  }
  if (s.test_top1 >= 0) {
    row("student, test",
        fmt::format("top-1 {:.2f} % (best epoch; kdengine report {})", s.test_top1, config.output));
  }
  row("student", fmt::format("{} parameters", s.parameters));
  row("training",
      fmt::format("{:.0f} images/s, {} in all", s.images_per_second, clock_text(s.seconds)));
  if (const std::optional<double> bytes = peak_memory_bytes()) {
    row("peak memory", fmt::format("{:.0f} MiB", *bytes / (1 << 20)));
  }
  row("written to", config.output);
}

}  // namespace

int run_training(const RunConfig& config) {
  if (!config.search.empty()) {
    std::cout << "the recipe is taken as it stands; `kdengine search` tries its \"search\"\n";
  }
  if (config.dry_run) {
    std::cout << describe_plan(config);
    return 0;
  }
  watch_signals();
  Display display;
  const RunSummary summary = train(config, display.watcher());
  if (summary.interrupted) {
    display.say("interrupted: continue with --resume");
    return 128 + caught_signal();
  }
  print_summary(config, summary);
  return 0;
}

}  // namespace kd::cli
