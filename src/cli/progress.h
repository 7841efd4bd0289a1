// The one line at the bottom that shows how far something is.
#pragma once

#include <chrono>
#include <string>

#include "kd/pack.h"

namespace kd::cli {

// On a terminal a line that is drawn over, at most ten times a second; elsewhere a line that stays,
// once in a `pause`, or none (0).
class StatusLine {
 public:
  explicit StatusLine(std::chrono::seconds pause = {});
  bool due();
  void draw(const std::string& text);
  void say(const std::string& line);  // a line that stays

 private:
  void clear();
  bool terminal_;
  std::chrono::seconds pause_;
  std::chrono::steady_clock::time_point drawn_;
};

std::string bar_text(int64_t done, int64_t total);  // [=====     ]

// Of work on many pictures: how far, how fast, how long it will still take.
class ProgressBar {
 public:
  explicit ProgressBar(StatusLine& line) : line_(line) {}
  void show(const PackProgress& now);

 private:
  using Clock = std::chrono::steady_clock;
  StatusLine& line_;
  PackProgress first_;  // of this piece of work
  Clock::time_point begun_;
};

}  // namespace kd::cli
