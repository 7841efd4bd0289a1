// A program of ours, run as its users run it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace kd::test {

struct Finished {
  int code = -1;     // exit code; 128 + number if a signal ended it
  std::string text;  // stdout and stderr
};

class Process {
 public:
  // Starts build's `program`, or another by its absolute path. file_limit > 0: writing a longer
  // file fails, as on a full disk.
  Process(const std::string& program, const std::vector<std::string>& arguments,
          size_t file_limit = 0);
  ~Process();  // ends it, if it still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void signal(int number) const;
  Finished wait();

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

inline Finished run(const std::string& program, const std::vector<std::string>& arguments,
                    size_t file_limit = 0) {
  return Process(program, arguments, file_limit).wait();
}

}  // namespace kd::test
