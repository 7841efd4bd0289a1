#include "support/recorder.h"

#include <algorithm>
#include <functional>
#include <map>
#include <random>

#include "kd/error.h"

namespace kd::test {
namespace {

struct RecordedStream final : Stream {
  int id = 0;
  int last = -1;  // item enqueued last
};

struct RecordedEvent final : Event {
  int at = -1;                    // item it stands for
  const void* capture = nullptr;  // the capture it was recorded in
};

using Work = std::function<void()>;

// Captured work: as enqueued, to be enqueued again. Items name each other by their place here.
struct Recording final : Captured {
  struct Part {
    Item item;
    Work work;
  };
  std::vector<Part> parts;
};

class RecorderBackend final : public Recorder, public Backend {
 public:
  RecorderBackend(std::unique_ptr<Backend> inner, uint64_t seed)
      : inner_(std::move(inner)), stream_(inner_->stream(Priority::normal)), random_(seed) {}

  Backend& backend() override { return *this; }
  const std::vector<Item>& items() const override { return items_; }
  int64_t allocations() const override { return allocations_; }
  int64_t host_waits() const override { return host_waits_; }

  Device device() const override { return inner_->device(); }
  std::string describe() const override { return "recorder of " + inner_->describe(); }
  bool computes_in_16_bits() const override { return inner_->computes_in_16_bits(); }
  bool supports(const Graph& graph, const Node& node) const override {
    return inner_->supports(graph, node);
  }
  std::unique_ptr<Step> prepare(const PrepareRequest& request) override;
  Buffer allocate(size_t bytes, Memory kind) override {
    ++allocations_;
    return inner_->allocate(bytes, kind);
  }
  std::unique_ptr<Stream> stream(Priority) override {
    auto made = std::make_unique<RecordedStream>();
    made->id = streams_++;
    return made;
  }
  std::unique_ptr<Event> event() override { return std::make_unique<RecordedEvent>(); }
  void copy(void* dst, const void* src, size_t bytes, Stream& stream) override {
    enqueue(stream, "copy", {{bytes_at(src), bytes, false}, {bytes_at(dst), bytes, true}},
            [=, this] { inner_->copy(dst, src, bytes, *stream_); });
  }
  void fill(void* dst, int byte, size_t bytes, Stream& stream) override {
    enqueue(stream, "fill", {{bytes_at(dst), bytes, true}},
            [=, this] { inner_->fill(dst, byte, bytes, *stream_); });
  }
  void record(Event& event, Stream& stream) override {
    auto& to = static_cast<RecordedEvent&>(event);
    to.at = enqueue(stream, "record", {}, [] {});
    to.capture = recording_.get();
  }
  void wait(Event& event, Stream& stream) override {
    const auto& from = static_cast<RecordedEvent&>(event);
    if (from.at < 0 || waits_++ == dropped_) return;
    if (from.capture != recording_.get()) {
      fail(ErrorCode::internal, "a wait for an event of another capture, or across its border");
    }
    enqueue(
        stream, "wait", {}, [] {}, from.at);
  }
  void synchronize(Stream& stream) override {
    ++host_waits_;
    run_until(static_cast<RecordedStream&>(stream).last);
  }
  void synchronize(Event& event) override {
    ++host_waits_;
    run_until(static_cast<RecordedEvent&>(event).at);
  }
  int64_t waits() const override { return waits_; }
  void drop_wait(int64_t number) override { dropped_ = number; }
  bool can_capture() const override { return true; }
  void begin_capture(Stream& origin) override;
  std::unique_ptr<Captured> end_capture(Stream& origin) override;
  void replay(Captured& captured, Stream& stream) override;

  // Returns the item's place.
  int enqueue(Stream& stream, std::string what, std::vector<Access> accesses, Work work,
              int also_after = -1);
  Stream& inner_stream() { return *stream_; }
  static const std::byte* bytes_at(const void* p) { return static_cast<const std::byte*>(p); }

 private:
  // Runs an item and what must be done before, in a random order; of the rest, nothing or all.
  void run_until(int last);
  void run(std::vector<char> wanted);

  std::unique_ptr<Backend> inner_;
  std::unique_ptr<Stream> stream_;
  std::mt19937_64 random_;
  std::vector<Item> items_;
  std::vector<Work> works_;                       // of the items; empty when done
  std::unique_ptr<Recording> recording_;          // while capturing
  std::map<RecordedStream*, int> captured_last_;  // of each stream of the capture
  int streams_ = 0;
  int64_t allocations_ = 0, host_waits_ = 0, waits_ = 0, dropped_ = -1;
};

// A prepared node: what it reads and writes follows from its description.
class RecordedStep final : public Step {
 public:
  RecordedStep(RecorderBackend& recorder, std::unique_ptr<Step> inner, const PrepareRequest& r)
      : recorder_(recorder), inner_(std::move(inner)), name_(r.node.op->name) {
    workspace = inner_->workspace;
    reorders = inner_->reorders;
    name_ += " " + r.node.name;
    for (size_t i = 0; i < r.node.inputs.size(); ++i) {
      inputs_.push_back(r.graph.desc(r.node.inputs[i]).bytes());
      updates_.push_back((r.node.op->updates >> i & 1) != 0);
    }
    for (const Value v : r.node.outputs) outputs_.push_back(r.graph.desc(v).bytes());
  }
  void run(Stream& stream, const Pointers& p) override {
    std::vector<Access> accesses;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      accesses.push_back({RecorderBackend::bytes_at(p.inputs[i]), inputs_[i], updates_[i]});
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      accesses.push_back({RecorderBackend::bytes_at(p.outputs[i]), outputs_[i], true});
    }
    if (workspace > 0) {
      accesses.push_back({RecorderBackend::bytes_at(p.workspace), workspace, true});
    }
    const std::vector<void*> in(p.inputs.begin(), p.inputs.end());
    const std::vector<void*> out(p.outputs.begin(), p.outputs.end());
    recorder_.enqueue(stream, name_, std::move(accesses),
                      [this, in, out, scratch = p.workspace, version = p.weights_version] {
                        inner_->run(recorder_.inner_stream(), {in, out, scratch, version});
                      });
  }

 private:
  RecorderBackend& recorder_;
  std::unique_ptr<Step> inner_;
  std::string name_;
  std::vector<size_t> inputs_, outputs_;
  std::vector<bool> updates_;
};

std::unique_ptr<Step> RecorderBackend::prepare(const PrepareRequest& request) {
  return std::make_unique<RecordedStep>(*this, inner_->prepare(request), request);
}

int RecorderBackend::enqueue(Stream& stream, std::string what, std::vector<Access> accesses,
                             Work work, int also_after) {
  auto& on = static_cast<RecordedStream&>(stream);
  Item item{on.id, std::move(what), std::move(accesses), {}};
  int& last = recording_ ? captured_last_.try_emplace(&on, -1).first->second : on.last;
  if (last >= 0) item.after.push_back(last);
  if (also_after >= 0) item.after.push_back(also_after);
  if (recording_) {
    if (item.after.empty() && !recording_->parts.empty()) {
      fail(ErrorCode::internal, "{} is captured on a stream that has not joined the capture",
           item.what);
    }
    last = static_cast<int>(recording_->parts.size());
    recording_->parts.push_back({std::move(item), std::move(work)});
  } else {
    last = static_cast<int>(items_.size());
    items_.push_back(std::move(item));
    works_.push_back(std::move(work));
  }
  return last;
}

void RecorderBackend::begin_capture(Stream& origin) {
  recording_ = std::make_unique<Recording>();
  captured_last_ = {{&static_cast<RecordedStream&>(origin), -1}};
}

// Every stream of the capture must have been joined: its last item is before the origin's last.
std::unique_ptr<Captured> RecorderBackend::end_capture(Stream& origin) {
  std::vector<Item> items;
  for (const Recording::Part& part : recording_->parts) items.push_back(part.item);
  const Order order(items);
  const int end = captured_last_[&static_cast<RecordedStream&>(origin)];
  for (const auto& [stream, last] : captured_last_) {
    if (last != end && !order.before(last, end)) {
      fail(ErrorCode::internal, "a captured stream was not joined");
    }
  }
  return std::move(recording_);
}

void RecorderBackend::replay(Captured& captured, Stream& stream) {
  auto& on = static_cast<RecordedStream&>(stream);
  const auto& parts = static_cast<Recording&>(captured).parts;
  const int first = static_cast<int>(items_.size()), fresh = streams_;
  int most = 0;
  for (const Recording::Part& part : parts) {
    Item item = part.item;
    most = std::max(most, item.stream);
    item.stream += fresh;
    for (int& after : item.after) after += first;
    if (item.after.empty() && on.last >= 0) item.after.push_back(on.last);
    items_.push_back(std::move(item));
    works_.push_back(part.work);
  }
  streams_ += most + 1;
  Item end{on.id, "graph done", {}, {}};
  for (int i = first; i < static_cast<int>(items_.size()); ++i) end.after.push_back(i);
  on.last = static_cast<int>(items_.size());
  items_.push_back(std::move(end));
  works_.push_back([] {});
}

void RecorderBackend::run_until(int last) {
  if (last < 0) return;
  std::vector<char> wanted(items_.size(), random_() % 2 == 0 ? 1 : 0);
  wanted[static_cast<size_t>(last)] = 1;
  for (size_t i = items_.size(); i-- > 0;) {
    if (!wanted[i]) continue;
    for (const int before : items_[i].after) wanted[static_cast<size_t>(before)] = 1;
  }
  run(std::move(wanted));
}

void RecorderBackend::run(std::vector<char> wanted) {
  std::vector<size_t> waits(items_.size(), 0), ready;
  std::vector<std::vector<size_t>> followers(items_.size());
  for (size_t i = 0; i < items_.size(); ++i) {
    if (!wanted[i] || !works_[i]) continue;
    for (const int before : items_[i].after) {
      if (!works_[static_cast<size_t>(before)]) continue;
      ++waits[i];
      followers[static_cast<size_t>(before)].push_back(i);
    }
    if (waits[i] == 0) ready.push_back(i);
  }
  while (!ready.empty()) {
    // Mostly one stream runs ahead of the others; now and then another is picked.
    const size_t at = random_() % 8 == 0 ? random_() % ready.size() : ready.size() - 1;
    const size_t item = ready[at];
    ready.erase(ready.begin() + static_cast<ptrdiff_t>(at));
    works_[item]();
    works_[item] = nullptr;
    for (const size_t follower : followers[item]) {
      if (--waits[follower] == 0) ready.push_back(follower);
    }
  }
}

}  // namespace

Order::Order(const std::vector<Item>& items)
    : words_((items.size() + 63) / 64), done_before_(words_ * items.size(), 0) {
  for (size_t i = 0; i < items.size(); ++i) {
    uint64_t* mine = done_before_.data() + i * words_;
    for (const int after : items[i].after) {
      const auto at = static_cast<size_t>(after);
      const uint64_t* theirs = done_before_.data() + at * words_;
      for (size_t w = 0; w < words_; ++w) mine[w] |= theirs[w];
      mine[at / 64] |= uint64_t{1} << (at % 64);
    }
  }
}

bool Order::before(int a, int b) const {
  const auto bit = static_cast<size_t>(a);
  return (done_before_[static_cast<size_t>(b) * words_ + bit / 64] >> (bit % 64) & 1) != 0;
}

std::unique_ptr<Recorder> make_recorder(std::unique_ptr<Backend> inner, uint64_t seed) {
  return std::make_unique<RecorderBackend>(std::move(inner), seed);
}

}  // namespace kd::test
