// What an engine must offer. Nothing here is about a particular op: an engine prepares nodes.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "kd/graph.h"

namespace kd {

enum class Memory : uint8_t { device, pinned_host };
enum class Priority : uint8_t { normal, high };

class Stream {  // work on one stream runs in order
 public:
  virtual ~Stream() = default;
};

class Event {
 public:
  virtual ~Event() = default;
};

// Work of several streams that was recorded once and can be run again, without its launches.
class Captured {
 public:
  virtual ~Captured() = default;
};

// An engine's own arrangement of a value's bytes; a null LayoutPtr means row-major.
class OpaqueLayout {
 public:
  virtual ~OpaqueLayout() = default;
  virtual size_t bytes() const = 0;
  virtual std::string str() const = 0;
};
using LayoutPtr = std::shared_ptr<const OpaqueLayout>;

// What prepare() learns of a node, and decides for its outputs.
struct PrepareRequest {
  const Graph& graph;
  const Node& node;
  std::span<const LayoutPtr> input_layouts;
  std::span<LayoutPtr> output_layouts;         // out; leave null for row-major
  std::span<const char> input_is_frozen;       // changes only when Program::weights_changed says so
  std::span<const char> output_must_be_plain;  // is bound to memory that others read
};

// The memory of a node's values in one run.
struct Pointers {
  std::span<void* const> inputs;
  std::span<void* const> outputs;
  void* workspace = nullptr;
  uint64_t weights_version = 0;  // frozen inputs are repacked when this differs from the last run's
};

// A prepared node. run() only enqueues: it allocates nothing and waits for nothing.
struct Step {
  size_t workspace = 0;  // bytes of scratch memory during run()
  int reorders = 0;      // layout changes per run, for the tests and the plan
  virtual void run(Stream& stream, const Pointers& pointers) = 0;
  virtual ~Step() = default;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Device device() const = 0;
  virtual std::string describe()
      const = 0;  // "cpu: oneDNN 3.2.0, 2 threads", for people and run.json
  virtual bool computes_in_16_bits() const { return false; }
  virtual bool supports(const Graph& graph, const Node& node) const = 0;
  virtual std::unique_ptr<Step> prepare(const PrepareRequest& request) = 0;
  virtual Buffer allocate(size_t bytes, Memory kind) = 0;
  virtual std::unique_ptr<Stream> stream(Priority priority) = 0;
  virtual std::unique_ptr<Event> event() = 0;
  virtual void copy(void* dst, const void* src, size_t bytes, Stream& stream) = 0;
  virtual void fill(void* dst, int byte, size_t bytes, Stream& stream) = 0;
  virtual void record(Event& event, Stream& stream) = 0;
  virtual void wait(Event& event, Stream& stream) = 0;
  virtual void synchronize(Stream& stream) = 0;  // the host waits for all that was enqueued
  virtual void synchronize(Event& event) = 0;    // ... for all before its last record()

  // Capture: between the two calls work is recorded instead of run, on `origin` and on the streams
  // that wait for an event of it; they must be joined to it again by events before the end.
  virtual bool can_capture() const { return false; }
  virtual void begin_capture(Stream& origin);
  virtual std::unique_ptr<Captured> end_capture(Stream& origin);
  virtual void replay(Captured& captured, Stream& stream);
};

// How an engine is to work; each takes what concerns it.
struct EngineOptions {
  int threads = 0;          // CPU: 0 = all cores
  bool allow_tf32 = false;  // CUDA: f32 products may round their operands to TF32
  bool autotune = false;    // CUDA: time every plan of a convolution, keep the fastest
  std::filesystem::path
      plan_cache{};  // CUDA: folder of built plans; empty: the user's cache folder
};

// Empty if make_backend(device) can work here, else one sentence that says why not.
std::string why_unavailable(Device device);

// device: Device::cpu always; others where they were built. Throws Error{device} with the reason.
std::unique_ptr<Backend> make_backend(Device device, const EngineOptions& options = {});

}  // namespace kd
