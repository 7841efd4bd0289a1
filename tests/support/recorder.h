// An engine that writes down what is enqueued and runs it late, in a random order that streams and
// events allow. Two uses: tests assert that every conflicting pair of accesses is ordered, and a
// step whose order is not enforced by events gives wrong numbers here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kd/backend.h"

namespace kd::test {

struct Access {
  const std::byte* begin;
  size_t bytes;
  bool writes;
};

// One piece of enqueued work. Streams of captured work are new ones for each replay.
struct Item {
  int stream = 0;
  std::string what;
  std::vector<Access> accesses;
  std::vector<int> after;  // items that must be done before: of its stream, and through events
};

class Recorder {
 public:
  virtual ~Recorder() = default;
  virtual Backend& backend() = 0;
  virtual const std::vector<Item>& items() const = 0;
  virtual int64_t allocations() const = 0;     // since the start
  virtual int64_t host_waits() const = 0;      // synchronize() of a stream or an event
  virtual int64_t waits() const = 0;           // of streams for events, so far
  virtual void drop_wait(int64_t number) = 0;  // the number-th wait is left out: a seeded bug
};

// `inner` prepares and computes; `seed` picks the order.
std::unique_ptr<Recorder> make_recorder(std::unique_ptr<Backend> inner, uint64_t seed);

// For each item the set of items that are done before it, as bits.
class Order {
 public:
  explicit Order(const std::vector<Item>& items);
  bool before(int a, int b) const;  // is a ordered before b?
 private:
  size_t words_;
  std::vector<uint64_t> done_before_;
};

}  // namespace kd::test
