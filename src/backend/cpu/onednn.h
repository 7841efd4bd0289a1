// The only include of oneDNN (API 3.x). Primitives, memories and argument lists are made once, in
// prepare.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "backend/cpu/cpu.h"
#include "kd/error.h"

namespace kd::cpu {

// Runs `make`, turning oneDNN's exceptions into Errors that name the node.
template <class Make>
auto guarded(const Node& node, Make&& make) {
  try {
    return make();
  } catch (const dnnl::error& error) {
    fail(ErrorCode::device, "{} '{}': oneDNN refuses: {}", node.op->name, node.name, error.what());
  }
}

inline const dnnl::engine& dnnl_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);  // immutable: a handle to the CPU
  return engine;
}
inline const dnnl::stream& dnnl_stream() {
  static const dnnl::stream stream(dnnl_engine());  // executes inline, keeps no state
  return stream;
}

using Tag = dnnl::memory::format_tag;

// f32 memory in row-major NHWC order, described as oneDNN wants it: (N, C, H, W).
inline dnnl::memory::desc nhwc(const Shape& s) {
  return {{s[0], s[3], s[1], s[2]}, dnnl::memory::data_type::f32, Tag::nhwc};
}
inline dnnl::memory::desc matrix(int64_t rows, int64_t columns, Tag tag) {
  return {{rows, columns}, dnnl::memory::data_type::f32, tag};
}

// A primitive with its memories. Handles are set for each run; nothing is allocated then.
class Primitive {
 public:
  Primitive() = default;
  explicit Primitive(const dnnl::primitive& primitive) : primitive_(primitive) {}

  // Returns the place of the argument, for set().
  size_t add(int argument, const dnnl::memory::desc& desc) {
    memories_.emplace_back(desc, dnnl_engine(), nullptr);
    arguments_.push_back({argument, memories_.back().get()});
    return memories_.size() - 1;
  }
  void set(size_t place, void* data) { memories_[place].set_data_handle(data); }
  void run() const {
    const auto status =
        dnnl_primitive_execute(primitive_.get(), dnnl_stream().get(),
                               static_cast<int>(arguments_.size()), arguments_.data());
    if (status != dnnl_success) fail(ErrorCode::device, "oneDNN failed to run a primitive");
  }
  explicit operator bool() const { return !arguments_.empty(); }

 private:
  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

// A change of layout; does nothing where both are the same.
class Reorder {
 public:
  Reorder() = default;
  Reorder(const dnnl::memory::desc& from, const dnnl::memory::desc& to) {
    if (from == to) return;
    const dnnl::reorder::primitive_desc desc(dnnl_engine(), from, dnnl_engine(), to);
    primitive_ = Primitive(dnnl::reorder(desc));
    primitive_.add(DNNL_ARG_FROM, from);
    primitive_.add(DNNL_ARG_TO, to);
  }
  bool needed() const { return static_cast<bool>(primitive_); }
  void run(void* from, void* to) {
    primitive_.set(0, from);
    primitive_.set(1, to);
    primitive_.run();
  }

 private:
  Primitive primitive_;
};

}  // namespace kd::cpu
