#include <algorithm>
#include <array>
#include <boost/context/detail/fcontext.hpp>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/kd_cuda.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace kd::simt {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr size_t kStackBytes = 64 << 10;
constexpr int kLanes = kernels::kWarp;

enum class State : uint8_t { ready, at_block_barrier, at_warp_operation, done };

struct Fiber {
  Thread index;
  fcontext_t context = nullptr;
  State state = State::ready;
  const char* where = nullptr;  // it waits
  unsigned mask = 0;
  uint64_t published = 0, received = 0;
  int source = 0;
  std::unique_ptr<std::byte[]> stack;
};

// Exactly one launch runs at a time in a thread.
struct Machine {
  std::mt19937_64 random{1};
  std::vector<std::unique_ptr<Fiber>> fibers;  // reused by later blocks
  Fiber* running = nullptr;
  int count = 0;  // threads of the block
  fcontext_t scheduler = nullptr;
  const std::function<void()>* body = nullptr;
  std::map<const void*, std::unique_ptr<std::byte[]>> shared;
  std::unique_ptr<std::byte[]> dynamic;
  LaunchRecord record;
#if defined(__SANITIZE_ADDRESS__)
  void* scheduler_fake_stack = nullptr;
  const void* scheduler_stack = nullptr;
  size_t scheduler_stack_bytes = 0;
#endif
};

Machine& machine() {
  thread_local Machine m;
  return m;
}

// Leaves the running fiber until it is resumed.
void suspend([[maybe_unused]] bool for_good = false) {
  Machine& m = machine();
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack, m.scheduler_stack,
                                 m.scheduler_stack_bytes);
#endif
  m.scheduler = jump_fcontext(m.scheduler, nullptr).fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack, &m.scheduler_stack, &m.scheduler_stack_bytes);
#endif
}

void enter(transfer_t from) {
  Machine& m = machine();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &m.scheduler_stack, &m.scheduler_stack_bytes);
#endif
  m.scheduler = from.fctx;
  (*m.body)();
  m.running->state = State::done;
  suspend(true);
}

void resume(Fiber& fiber) {
  Machine& m = machine();
  m.running = &fiber;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&m.scheduler_fake_stack, fiber.stack.get(), kStackBytes);
#endif
  fiber.context = jump_fcontext(fiber.context, nullptr).fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(m.scheduler_fake_stack, nullptr, nullptr);
#endif
  m.running = nullptr;
}

[[noreturn]] void refuse(const std::string& what) { throw kernels::LaunchError("simt: " + what); }

// The lanes of one warp.
std::vector<Fiber*> lanes_of(int warp) {
  Machine& m = machine();
  std::vector<Fiber*> lanes;
  for (int i = warp * kLanes; i < std::min(m.count, (warp + 1) * kLanes); ++i) {
    lanes.push_back(m.fibers[static_cast<size_t>(i)].get());
  }
  return lanes;
}

// Releases one group of lanes whose whole mask waits at one line; false if there is none.
bool release_group(const std::vector<Fiber*>& lanes) {
  for (const Fiber* first : lanes) {
    if (first->state != State::at_warp_operation) continue;
    const auto in_mask = [&](size_t i) { return (first->mask >> i & 1) != 0; };
    bool complete = true;
    for (size_t i = 0; i < lanes.size() && complete; ++i) {
      const Fiber& other = *lanes[i];
      complete = !in_mask(i) || (other.state == State::at_warp_operation &&
                                 other.where == first->where && other.mask == first->mask);
    }
    if (!complete) continue;
    const unsigned mask = first->mask;
    for (size_t i = 0; i < lanes.size(); ++i) {
      if ((mask >> i & 1) == 0) continue;
      const auto source = static_cast<size_t>(lanes[i]->source);
      const bool there = source < lanes.size() && (mask >> source & 1) != 0;
      // What a lane outside the mask would give is undefined: give garbage.
      lanes[i]->received = there ? lanes[source]->published : 0xDEADBEEFDEADBEEFull;
    }
    for (size_t i = 0; i < lanes.size(); ++i) {
      if ((mask >> i & 1) != 0) lanes[i]->state = State::ready;
    }
    return true;
  }
  return false;
}

// Runs a warp until each of its lanes waits at a block barrier or is done.
void run_warp(int warp) {
  Machine& m = machine();
  const std::vector<Fiber*> lanes = lanes_of(warp);
  std::vector<Fiber*> order = lanes;
  do {
    std::ranges::shuffle(order, m.random);
    for (Fiber* fiber : order) {
      if (fiber->state == State::ready) resume(*fiber);
    }
  } while (release_group(lanes));
  for (const Fiber* fiber : lanes) {
    if (fiber->state == State::at_warp_operation) {
      refuse(std::string("a warp operation at ") + fiber->where +
             " waits for lanes that do not come");
    }
  }
}

// True while there is more to run; throws where a device would hang or misbehave.
bool pass_block_barrier() {
  Machine& m = machine();
  const char* where = nullptr;
  int waiting = 0;
  for (int i = 0; i < m.count; ++i) {
    const Fiber& fiber = *m.fibers[static_cast<size_t>(i)];
    if (fiber.state == State::done) continue;
    ++waiting;
    if (where != nullptr && where != fiber.where && std::strcmp(where, fiber.where) != 0) {
      refuse(std::string("threads wait at two barriers, ") + where + " and " + fiber.where);
    }
    where = fiber.where;
  }
  if (waiting == 0) return false;
  if (waiting != m.count) {
    refuse(std::string("threads returned before the barrier at ") + where);
  }
  for (int i = 0; i < m.count; ++i) m.fibers[static_cast<size_t>(i)]->state = State::ready;
  return true;
}

void run_block(Index block, const kernels::Grid& grid) {
  Machine& m = machine();
  m.shared.clear();
  m.dynamic.reset(new std::byte[grid.shared_bytes]);
  std::memset(m.dynamic.get(), 0xFF, grid.shared_bytes);
  const auto unsigned_dim = [](const kernels::Dim& d) {
    return Index{static_cast<unsigned>(d.x), static_cast<unsigned>(d.y),
                 static_cast<unsigned>(d.z)};
  };
  const Index threads = unsigned_dim(grid.threads);
  for (int i = 0; i < m.count; ++i) {
    Fiber& fiber = *m.fibers[static_cast<size_t>(i)];
    const auto at = static_cast<unsigned>(i);
    fiber.index = {{at % threads.x, at / threads.x % threads.y, at / threads.x / threads.y},
                   block,
                   threads,
                   unsigned_dim(grid.blocks)};
    fiber.state = State::ready;
#if defined(__SANITIZE_ADDRESS__)
    // The last frames of the thread before never returned: their marks are still there.
    __asan_unpoison_memory_region(fiber.stack.get(), kStackBytes);
#endif
    fiber.context = make_fcontext(fiber.stack.get() + kStackBytes, kStackBytes, enter);
  }
  const int warps = (m.count + kLanes - 1) / kLanes;
  std::vector<int> order(static_cast<size_t>(warps));
  std::iota(order.begin(), order.end(), 0);
  do {
    std::ranges::shuffle(order, m.random);
    for (const int warp : order) run_warp(warp);
  } while (pass_block_barrier());
}

void check_grid(const kernels::Grid& grid) {
  const int64_t threads = grid.threads.x * grid.threads.y * grid.threads.z;
  const auto inside = [](int64_t value, int64_t most) { return value >= 1 && value <= most; };
  const bool fits = inside(threads, 1024) && inside(grid.blocks.x, 0x7fffffff) &&
                    inside(grid.blocks.y, 65535) && inside(grid.blocks.z, 65535) &&
                    grid.threads.z <= 64 && grid.shared_bytes <= (227 << 10);
  if (!fits) {
    refuse("a grid that no device takes: " + std::to_string(grid.blocks.x) + " x " +
           std::to_string(grid.blocks.y) + " x " + std::to_string(grid.blocks.z) + " blocks of " +
           std::to_string(threads) + " threads, " + std::to_string(grid.shared_bytes) + " bytes");
  }
}

// Waits as described by the fields of the running fiber.
void wait_at(State state, const char* where) {
  Fiber& fiber = *machine().running;
  fiber.where = where;
  fiber.state = state;
  suspend();
}

}  // namespace

const Thread& current() { return machine().running->index; }

int lane() {
  const Thread& t = current();
  return static_cast<int>((t.thread.x + t.block_dim.x * (t.thread.y + t.block_dim.y * t.thread.z)) %
                          kLanes);
}

void block_barrier(const char* where) { wait_at(State::at_block_barrier, where); }

uint64_t exchange(unsigned mask, uint64_t bits, int source, const char* where) {
  Fiber& fiber = *machine().running;
  const Thread& t = fiber.index;
  const int64_t at =
      t.thread.x + int64_t{t.block_dim.x} * (t.thread.y + int64_t{t.block_dim.y} * t.thread.z);
  const int64_t present = std::min<int64_t>(kLanes, machine().count - at / kLanes * kLanes);
  fiber.mask = present < kLanes ? mask & ((1u << present) - 1) : mask;
  fiber.published = bits;
  fiber.source = source;
  wait_at(State::at_warp_operation, where);
  return fiber.received;
}

void warp_barrier(unsigned mask, const char* where) { exchange(mask, 0, lane(), where); }

unsigned ballot(unsigned mask, bool predicate, const char* where) {
  unsigned votes = 0;
  for (int i = 0; i < kLanes; ++i) {
    const bool asked = (mask >> i & 1) != 0;
    const uint64_t vote = exchange(mask, predicate, asked ? i : lane(), where);
    if (asked && vote == 1) votes |= 1u << i;
  }
  return votes;
}

void* shared(const void* id, size_t bytes) {
  auto& piece = machine().shared[id];
  if (!piece) {
    piece.reset(new std::byte[bytes]);
    std::memset(piece.get(), 0xFF, bytes);
  }
  return piece.get();
}

void* dynamic_shared() { return machine().dynamic.get(); }

void seed(uint64_t value) { machine().random.seed(value); }

LaunchRecord& record() { return machine().record; }

void run(const kernels::Grid& grid, const std::function<void()>& body) {
  check_grid(grid);
  Machine& m = machine();
  m.count = static_cast<int>(grid.threads.x * grid.threads.y * grid.threads.z);
  m.body = &body;
  while (m.fibers.size() < static_cast<size_t>(m.count)) {
    m.fibers.push_back(std::make_unique<Fiber>());
    m.fibers.back()->stack.reset(new std::byte[kStackBytes]);
  }
  const int64_t blocks = grid.blocks.x * grid.blocks.y * grid.blocks.z;
  m.record = {m.record.launches + 1, blocks, m.count};
  std::vector<int64_t> order(static_cast<size_t>(blocks));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::ranges::shuffle(order, m.random);
  for (const int64_t at : order) {
    run_block({static_cast<unsigned>(at % grid.blocks.x),
               static_cast<unsigned>(at / grid.blocks.x % grid.blocks.y),
               static_cast<unsigned>(at / grid.blocks.x / grid.blocks.y)},
              grid);
  }
}

}  // namespace kd::simt
