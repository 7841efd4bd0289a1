// A task that is learnt in a second: two classes of 8 x 8 pictures that differ in colour, and a
// student.
#pragma once

#include "kd/config.h"
#include "support/support.h"

namespace kd::test {

class SmallTask {
 public:
  SmallTask();  // data/train/<class>/*.png (24 each), data/val/<class>/*.png (10 each),
                // student.json
  std::filesystem::path at(const std::string& name) const { return folder_.path() / name; }
  // A run into at(name): the student on the data, batches of 8.
  RunConfig config(const std::string& name) const;
  std::string last(const std::string& name) const;  // a hash of that run's last.bin

 private:
  TemporaryFolder folder_;
};

}  // namespace kd::test
