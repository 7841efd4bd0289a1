#include "cases/execute.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>

#include "core/lowering.h"
#include "kd/error.h"
#include "kd/ops.h"

namespace kd::test {
namespace {

constexpr size_t kGuard = 64;  // bytes before and after each tensor
constexpr int kGuardByte = 0xA5;

// A tensor between two strips of known bytes.
class Guarded {
 public:
  Guarded(const TensorDesc& desc, Backend& backend)
      : backend_(&backend),
        host_(desc, allocate_host(desc.bytes() + 2 * kGuard), kGuard),
        device_(desc, backend.allocate(desc.bytes() + 2 * kGuard, Memory::device), kGuard) {
    std::memset(host_.buffer().data(), kGuardByte, host_.buffer().bytes());
    upload();
  }
  const Tensor& on_device() const { return device_; }
  void set(const Array& contents) const {
    write(contents, host_);
    upload();
  }
  void poison() const {  // NaN, -1, 255
    std::memset(host_.data(), 0xFF, host_.bytes());
    upload();
  }
  // What is there now; the strips are checked.
  const Tensor& fetched() const {
    copy(host_.buffer().data(), device_.buffer().data());
    return host_;
  }
  bool intact() const {
    const auto* bytes = static_cast<const unsigned char*>(host_.buffer().data());
    const auto whole = [](const unsigned char* strip) {
      return std::all_of(strip, strip + kGuard, [](unsigned char b) { return b == kGuardByte; });
    };
    return whole(bytes) && whole(bytes + kGuard + host_.bytes());
  }
  std::vector<std::byte> bytes() const {
    const auto* from = static_cast<const std::byte*>(host_.data());
    return {from, from + host_.bytes()};
  }

 private:
  void upload() const { copy(device_.buffer().data(), host_.buffer().data()); }
  void copy(void* dst, const void* src) const {
    const auto stream = backend_->stream(Priority::normal);
    backend_->copy(dst, src, host_.buffer().bytes(), *stream);
    backend_->synchronize(*stream);
  }
  Backend* backend_;
  Tensor host_, device_;
};

using Memory_ = std::map<int, Guarded>;  // by value id

bool is_leaf(const Graph& graph, Value v) { return graph.info(v).role != Role::activation; }

// One run from fresh contents: the bytes of the outputs and of every leaf.
std::vector<std::vector<std::byte>> run_once(const Built& built, Program& program,
                                             const Memory_& memory, Backend& backend) {
  for (const Value v : built.outputs) {
    if (!is_leaf(built.graph, v)) memory.at(v.id).poison();
  }
  for (const Bound& leaf : built.leaves) memory.at(leaf.value.id).set(leaf.contents);
  const auto stream = backend.stream(Priority::normal);
  program.run(*stream);
  backend.synchronize(*stream);
  std::vector<std::vector<std::byte>> bytes;
  for (const auto& [id, guarded] : memory) {
    guarded.fetched();
    if (!guarded.intact()) {
      throw std::runtime_error("memory around value " + std::to_string(id) + " was overwritten");
    }
    bytes.push_back(guarded.bytes());
  }
  return bytes;
}

void check_unchanged(const Built& built, const Memory_& memory) {
  for (const Bound& leaf : built.leaves) {
    if (leaf.updated) continue;
    const Guarded expected(built.graph.desc(leaf.value), cpu());
    expected.set(leaf.contents);
    if (expected.bytes() != memory.at(leaf.value.id).bytes()) {
      throw std::runtime_error("the input '" + built.graph.info(leaf.value).name +
                               "' was overwritten");
    }
  }
}

Value identity_convolution(Built& built, Value x) {
  const int64_t channels = built.graph.shape(x)[3];
  Array weights = Array::zeros({channels, 1, 1, channels});
  for (int64_t c = 0; c < channels; ++c) weights.at(c * channels + c) = 1;
  const Value w = built.graph.input("identity" + std::to_string(built.leaves.size()),
                                    {DType::f32, {channels, 1, 1, channels}});
  built.leaves.push_back({w, std::move(weights)});
  return conv2d(built.graph, x, w);
}

bool is_picture(const Graph& graph, Value v) {
  return graph.desc(v).dtype == DType::f32 && graph.shape(v).rank() == 4;
}

std::vector<Value> add_leaves(const Case& a_case, const Arrays& contents, Built& built) {
  std::vector<Value> leaves;
  for (size_t i = 0; i < a_case.leaves.size(); ++i) {
    const Leaf& leaf = a_case.leaves[i];
    leaves.push_back(leaf.updated ? built.graph.state(leaf.name, leaf.desc)
                                  : built.graph.input(leaf.name, leaf.desc));
    built.leaves.push_back({leaves.back(), contents[i], leaf.updated});
  }
  return leaves;
}

bool any_fused(const Graph& graph) {
  return std::ranges::any_of(graph.nodes(),
                             [](const Node& node) { return node.op->expand != nullptr; });
}

std::vector<Value> expand_node(Graph& graph, const Node& node, const std::vector<Value>& inputs) {
  if (node.op->expand == nullptr) return {};
  Node here = node;
  here.inputs = inputs;
  here.outputs.clear();
  return node.op->expand(graph, here);
}

double root_mean_square(const Array& array) {
  double sum = 0, count = 0;
  for (const double value : array.data) {
    if (std::isfinite(value)) sum += value * value, ++count;
  }
  return count == 0 ? 0 : std::sqrt(sum / count);
}

}  // namespace

Built build(const Case& a_case, const Arrays& contents) {
  Built built;
  const std::vector<Value> leaves = add_leaves(a_case, contents, built);
  built.outputs = a_case.build(built.graph, leaves);
  return built;
}

Built build_expanded(const Case& a_case, const Arrays& contents) {
  Built built = build(a_case, contents);
  while (any_fused(built.graph)) {
    Replayed replayed = replay(built.graph, {}, expand_node);
    const auto moved = [&](Value& v) { v = replayed.values.at(static_cast<size_t>(v.id)); };
    for (Bound& leaf : built.leaves) moved(leaf.value);
    for (Value& output : built.outputs) moved(output);
    built.graph = std::move(replayed.graph);
  }
  return built;
}

Built build_blocked(const Case& a_case, const Arrays& contents) {
  Built built;
  std::vector<Value> leaves = add_leaves(a_case, contents, built);
  for (Value& leaf : leaves) {
    if (is_picture(built.graph, leaf)) leaf = identity_convolution(built, leaf);
  }
  built.outputs = a_case.build(built.graph, leaves);
  for (Value& output : built.outputs) {
    if (is_picture(built.graph, output)) output = identity_convolution(built, output);
  }
  return built;
}

bool has_fused_op(const Case& a_case) {
  return any_fused(build(a_case, Arrays(a_case.leaves.size())).graph);
}

bool has_gradient(const Case& a_case) {
  return std::ranges::any_of(a_case.leaves, &Leaf::differentiable);
}

Backend& cpu() {
  static const std::unique_ptr<Backend> backend = make_backend(Device::cpu, {.threads = 2});
  return *backend;
}

bool runs_on(const Built& built, const Backend& backend) {
  Graph graph = built.graph;
  expand_unsupported(graph, [&](const Node& node) { return backend.supports(graph, node); });
  return std::ranges::all_of(graph.nodes(),
                             [&](const Node& node) { return backend.supports(graph, node); });
}

Arrays execute(const Built& built, Backend& backend) {
  Memory_ memory;
  CompileOptions options;
  for (const Bound& leaf : built.leaves) {
    memory.try_emplace(leaf.value.id, built.graph.desc(leaf.value), backend);
  }
  for (const Value output : built.outputs) {
    memory.try_emplace(output.id, built.graph.desc(output), backend);
  }
  for (const auto& [id, guarded] : memory) {
    options.bindings.push_back({Value{id}, guarded.on_device()});
    if (!is_leaf(built.graph, {id})) options.outputs.push_back({id});
  }
  Program program = compile(built.graph, backend, options);
  const auto first = run_once(built, program, memory, backend);
  if (run_once(built, program, memory, backend) != first) {
    throw std::runtime_error("two runs on the same inputs differ");
  }
  check_unchanged(built, memory);
  Arrays results;
  for (const Value output : built.outputs) {
    results.push_back(to_array(memory.at(output.id).fetched()));
  }
  for (const Bound& leaf : built.leaves) {
    if (leaf.updated) results.push_back(to_array(memory.at(leaf.value.id).fetched()));
  }
  return results;
}

void differentiate_outputs(Built& built, const std::vector<SeedOf>& seeds,
                           const std::vector<Value>& wrt) {
  std::vector<Seed> seeded;
  for (const SeedOf& seed : seeds) {
    const Value gradient = built.graph.input("seed" + std::to_string(built.leaves.size()),
                                             built.graph.desc(seed.output));
    built.leaves.push_back({gradient, seed.seed});
    seeded.push_back({seed.output, gradient});
  }
  built.outputs = differentiate(built.graph, seeded, wrt);
}

std::string difference(const Array& got, const Array& want, const Tolerance& tolerance,
                       const std::string& what) {
  if (got.shape != want.shape) return what + " has another shape than the oracle's";
  const double length = static_cast<double>(tolerance.length);
  double factor = 0x1p-23 * (tolerance.a + tolerance.b * std::sqrt(length));
  double least = std::numeric_limits<float>::min(), most = std::numeric_limits<float>::max();
  if (tolerance.dtype == DType::f16) {
    factor += 0x1p-10 * tolerance.roundings;
    least = 0x1p-14;
    most = 65504;
  } else if (tolerance.dtype == DType::bf16) {
    factor += 0x1p-7 * tolerance.roundings;
  }
  const double floor = tolerance.elementwise ? least : std::max(least, root_mean_square(want));
  double worst = 1;
  std::string message;
  for (int64_t i = 0; i < want.size(); ++i) {
    const double a = got.at(i), b = want.at(i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    // Values beyond the type's range are infinite in the engine.
    if (std::isinf(a) && std::abs(b) > most * (1 - factor) && (a > 0) == (b > 0)) {
      continue;
    }
    double off = std::abs(a - b) / (factor * (std::abs(b) + floor));
    if (std::isnan(off)) off = std::numeric_limits<double>::infinity();
    if (off <= worst) continue;
    worst = off;
    message = format("{}[{}] is {}, expected {}: {} times the tolerance", what, i, a, b, off);
  }
  return message;
}

}  // namespace kd::test
