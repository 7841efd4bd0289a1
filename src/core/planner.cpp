#include "core/planner.h"

#include <algorithm>
#include <numeric>

namespace kd {
namespace {

size_t aligned(size_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

bool overlap(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

ArenaPlan plan_arena(std::span<const Lifetime> blocks) {
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order,
                           [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });

  ArenaPlan plan{std::vector<size_t>(blocks.size(), 0), 0};
  std::vector<size_t> placed;  // sorted by offset
  for (const size_t block : order) {
    const size_t bytes = aligned(blocks[block].bytes);
    if (bytes == 0) continue;
    size_t offset = 0;
    for (const size_t other : placed) {
      if (!overlap(blocks[block], blocks[other])) continue;
      if (offset + bytes <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + aligned(blocks[other].bytes));
    }
    plan.offsets[block] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    const auto after = std::ranges::upper_bound(placed, offset, {},
                                                [&](size_t other) { return plan.offsets[other]; });
    placed.insert(after, block);
  }
  return plan;
}

}  // namespace kd
