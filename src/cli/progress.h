// The one line at the bottom that shows how far something is.
#pragma once

#include <chrono>
#include <string>

#include "kd/pack.h"

namespace kd::cli {

// On a terminal a line that is drawn over; elsewhere only what is said stays.
class StatusLine {
 public:
  StatusLine();
  bool due();  // on a terminal, at most ten times a second
  void draw(const std::string& text);
  void say(const std::string& line);  // a line that stays
  bool terminal() const { return terminal_; }

 private:
  void clear();
  bool terminal_;
  std::chrono::steady_clock::time_point drawn_;
};

std::string bar_text(int64_t done, int64_t total);  // [=====     ]

// Of work on many pictures: how far, how fast, how long it will still take. Off a terminal a line
// every half minute.
class ProgressBar {
 public:
  explicit ProgressBar(StatusLine& line) : line_(line) {}
  void show(const PackProgress& now);

 private:
  using Clock = std::chrono::steady_clock;
  StatusLine& line_;
  PackProgress first_;  // of this piece of work
  Clock::time_point begun_, said_;
};

}  // namespace kd::cli
