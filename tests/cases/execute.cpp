#include "cases/execute.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>

#include "kd/error.h"
#include "kd/ops.h"

namespace kd::test {
namespace {

constexpr size_t kGuard = 64;  // bytes before and after each tensor
constexpr int kGuardByte = 0xA5;

// A tensor between two strips of known bytes.
class Guarded {
 public:
  explicit Guarded(const TensorDesc& desc)
      : buffer_(allocate_host(desc.bytes() + 2 * kGuard)), tensor_(desc, buffer_, kGuard) {
    std::memset(buffer_.data(), kGuardByte, buffer_.bytes());
  }
  const Tensor& tensor() const { return tensor_; }
  bool intact() const {
    const auto* bytes = static_cast<const unsigned char*>(buffer_.data());
    const auto whole = [](const unsigned char* strip) {
      return std::all_of(strip, strip + kGuard, [](unsigned char b) { return b == kGuardByte; });
    };
    return whole(bytes) && whole(bytes + kGuard + tensor_.bytes());
  }
  void poison() const { std::memset(tensor_.data(), 0xFF, tensor_.bytes()); }  // NaN, -1, 255
  std::vector<std::byte> bytes() const {
    const auto* from = static_cast<const std::byte*>(tensor_.data());
    return {from, from + tensor_.bytes()};
  }

 private:
  Buffer buffer_;
  Tensor tensor_;
};

using Memory_ = std::map<int, Guarded>;  // by value id

bool is_leaf(const Graph& graph, Value v) { return graph.info(v).role != Role::activation; }

// One run from fresh contents: the bytes of the outputs and of every leaf.
std::vector<std::vector<std::byte>> run_once(const Built& built, Program& program,
                                             const Memory_& memory) {
  for (const Value v : built.outputs) {
    if (!is_leaf(built.graph, v)) memory.at(v.id).poison();
  }
  for (const Bound& leaf : built.leaves) write(leaf.contents, memory.at(leaf.value.id).tensor());
  const auto stream = cpu().stream(Priority::normal);
  program.run(*stream);
  cpu().synchronize(*stream);
  std::vector<std::vector<std::byte>> bytes;
  for (const auto& [id, guarded] : memory) {
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
    const Guarded expected(built.graph.desc(leaf.value));
    write(leaf.contents, expected.tensor());
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
  static const std::unique_ptr<Backend> backend = make_backend(Device::cpu, 2);
  return *backend;
}

Arrays execute(const Built& built) {
  Memory_ memory;
  CompileOptions options;
  for (const Bound& leaf : built.leaves) {
    memory.try_emplace(leaf.value.id, built.graph.desc(leaf.value));
  }
  for (const Value output : built.outputs) {
    memory.try_emplace(output.id, built.graph.desc(output));
  }
  for (const auto& [id, guarded] : memory) {
    options.bindings.push_back({Value{id}, guarded.tensor()});
    if (!is_leaf(built.graph, {id})) options.outputs.push_back({id});
  }
  Program program = compile(built.graph, cpu(), options);
  const auto first = run_once(built, program, memory);
  if (run_once(built, program, memory) != first) {
    throw std::runtime_error("two runs on the same inputs differ");
  }
  check_unchanged(built, memory);
  Arrays results;
  for (const Value output : built.outputs) {
    results.push_back(to_array(memory.at(output.id).tensor()));
  }
  for (const Bound& leaf : built.leaves) {
    if (leaf.updated) results.push_back(to_array(memory.at(leaf.value.id).tensor()));
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
  const double eps = std::numeric_limits<float>::epsilon();
  const double factor =
      eps * (tolerance.a + tolerance.b * std::sqrt(static_cast<double>(tolerance.length)));
  const double floor =
      tolerance.elementwise ? std::numeric_limits<float>::min() : root_mean_square(want);
  double worst = 1;
  std::string message;
  for (int64_t i = 0; i < want.size(); ++i) {
    const double a = got.at(i), b = want.at(i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    // Values beyond float's range are infinite in the engine.
    if (std::isinf(a) && std::abs(b) > std::numeric_limits<float>::max() && (a > 0) == (b > 0)) {
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
