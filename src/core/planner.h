// Plans one arena: values whose lifetimes do not overlap share memory.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace kd {

// A block that is in use from node `first` to node `last`, both included.
struct Lifetime {
  int first = 0, last = 0;
  size_t bytes = 0;
};

struct ArenaPlan {
  std::vector<size_t> offsets;  // one a block, multiples of kArenaAlignment
  size_t bytes = 0;
};

constexpr size_t kArenaAlignment = 256;

// Largest block first, each at the lowest offset that is free for its whole lifetime.
ArenaPlan plan_arena(std::span<const Lifetime> blocks);

}  // namespace kd
