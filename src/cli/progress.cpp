#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "cli/program.h"

namespace kd::cli {

StatusLine::StatusLine(std::chrono::seconds pause)
    : terminal_(isatty(STDOUT_FILENO) != 0), pause_(pause) {
  if (!terminal_) drawn_ = std::chrono::steady_clock::now();  // the first after a pause
}

bool StatusLine::due() {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ && pause_.count() == 0) return false;
  if (now - drawn_ < (terminal_ ? std::chrono::milliseconds(100) : pause_)) return false;
  drawn_ = now;
  return true;
}

void StatusLine::clear() {
  if (terminal_) std::cout << "\r\x1b[K";
}

void StatusLine::draw(const std::string& text) {
  if (!terminal_) return say(text);
  clear();
  std::cout << text << std::flush;
}

void StatusLine::say(const std::string& line) {
  clear();
  std::cout << line << std::endl;
}

std::string bar_text(int64_t done, int64_t total) {
  constexpr int64_t kWidth = 20;
  const auto filled = static_cast<size_t>(kWidth * done / std::max<int64_t>(total, 1));
  return fmt::format("[{}{}]", std::string(filled, '='), std::string(kWidth - filled, ' '));
}

void ProgressBar::show(const PackProgress& now) {
  const auto time = Clock::now();
  if (now.what != first_.what) {
    first_ = now;
    begun_ = time;
  }
  if (!line_.due()) return;
  const double seconds = std::chrono::duration<double>(time - begun_).count();
  const auto done = static_cast<double>(now.done - first_.done);
  std::string text =
      fmt::format("{} {} {}/{}", now.what, bar_text(now.done, now.total), now.done, now.total);
  if (done > 0 && seconds > 0) {
    text += fmt::format("  {:.0f} pictures/s  {:.0f} MiB/s  left {}", done / seconds,
                        static_cast<double>(now.bytes - first_.bytes) / seconds / (1 << 20),
                        clock_text(static_cast<double>(now.total - now.done) * seconds / done));
  }
  line_.draw(text);
}

}  // namespace kd::cli
