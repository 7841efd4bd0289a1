// Training: a progress bar on a terminal, plain lines elsewhere, a table at the end.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iostream>

#include "cli/commands.h"
#include "core/peak_memory.h"
#include "kd/trainer.h"

namespace kd::cli {
namespace {

class Display {
 public:
  Display() : terminal_(isatty(STDOUT_FILENO) != 0) {}

  Watcher watcher() {
    return {[this](const std::string& line) { say(line); },
            [this](const StepReport& r) { step(r); }, [this](const EpochReport& r) { epoch(r); },
            [] { return caught_signal() != 0; }};
  }
  void say(const std::string& line) {
    clear();
    std::cout << line << std::endl;
  }

 private:
  void clear() {
    if (terminal_) std::cout << "\r\x1b[K";
  }
  void step(const StepReport& r) {
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_ || now - drawn_ < std::chrono::milliseconds(100)) return;
    drawn_ = now;
    const auto filled = static_cast<size_t>(20 * r.step / r.steps);
    clear();
    std::cout << fmt::format(
                     "epoch {}/{} [{}{}] loss {:.3f}  top-1 {:.1f} %  {:.0f} img/s  left {}",
                     r.epoch, r.epochs, std::string(filled, '='), std::string(20 - filled, ' '),
                     r.loss, r.top1, r.images_per_second, clock_text(r.seconds_left))
              << std::flush;
  }
  void epoch(const EpochReport& r) {
    std::string line =
        fmt::format("epoch {:3}  lr {:.5f}  train loss {:.4f}", r.epoch, r.lr, r.train_loss);
    if (r.train_top1 >= 0) line += fmt::format("  top-1 {:5.2f} %", r.train_top1);
    if (r.validated)
      line += fmt::format("  val loss {:.4f}  top-1 {:5.2f} %", r.val_loss, r.val_top1);
    say(line +
        fmt::format("  {:.0f} img/s  data wait {:.1f} %", r.images_per_second, r.wait_percent));
  }

  bool terminal_;
  std::chrono::steady_clock::time_point drawn_;
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
