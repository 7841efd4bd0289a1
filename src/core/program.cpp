#include "kd/program.h"

#include <algorithm>
#include <map>

#include "core/lowering.h"
#include "core/planner.h"
#include "core/stop_watch.h"
#include "kd/error.h"

namespace kd {
namespace {

struct PreparedNode {
  std::unique_ptr<Step> step;
  std::vector<void*> inputs, outputs;
  Pointers pointers;
};

size_t index_of(Value v) { return static_cast<size_t>(v.id); }

}  // namespace

struct Program::Impl {
  Graph graph;
  Backend& backend;
  Buffer arena;
  std::vector<Tensor> tensors;     // of leaves and outputs, by value id
  std::vector<LayoutPtr> layouts;  // by value id
  std::vector<PreparedNode> nodes;
  uint64_t weights_version = 1;

  Impl(Graph g, Backend& b)
      : graph(std::move(g)),
        backend(b),
        tensors(static_cast<size_t>(graph.value_count())),
        layouts(static_cast<size_t>(graph.value_count())) {}

  void bind(const CompileOptions& options);
  void prepare(const CompileOptions& options);
  void plan_memory();
  bool in_arena(Value v) const {
    return graph.info(v).role == Role::activation && !tensors[index_of(v)];
  }
  size_t bytes_of(Value v) const {
    const LayoutPtr& layout = layouts[index_of(v)];
    return layout ? layout->bytes() : graph.desc(v).bytes();
  }
  // The value whose memory v uses: itself, or an input of its producer that it overwrites.
  std::vector<Value> share_in_place(const std::vector<int>& last_use) const;
};

// Gives every leaf and every output its memory.
void Program::Impl::bind(const CompileOptions& options) {
  for (const Binding& binding : options.bindings) {
    KD_CHECK(binding.tensor.desc() == graph.desc(binding.value), "'{}' is {}, but is bound to {}",
             graph.info(binding.value).name, graph.desc(binding.value).str(),
             binding.tensor.desc().str());
    tensors[index_of(binding.value)] = binding.tensor;
  }
  std::vector<Value> own = options.outputs;
  for (int id = 0; id < graph.value_count(); ++id) {
    if (graph.info({id}).role != Role::activation) own.push_back({id});
  }
  for (const Value v : own) {
    Tensor& tensor = tensors[index_of(v)];
    const TensorDesc& desc = graph.desc(v);
    if (!tensor) tensor = Tensor(desc, backend.allocate(desc.bytes(), Memory::device));
  }
}

void Program::Impl::prepare(const CompileOptions& options) {
  std::vector<char> frozen(tensors.size(), 0);
  for (const Value v : options.frozen) frozen[index_of(v)] = 1;
  for (const Node& node : graph.nodes()) {
    KD_CHECK(backend.supports(graph, node), "{} '{}' of {} can't be run by this engine",
             node.op->name, node.name,
             node.outputs.empty() ? "a state" : graph.desc(node.outputs[0]).str());
    std::vector<LayoutPtr> in, out(node.outputs.size());
    std::vector<char> in_frozen, out_plain;
    for (const Value v : node.inputs) {
      in.push_back(layouts[index_of(v)]);
      in_frozen.push_back(frozen[index_of(v)]);
    }
    for (const Value v : node.outputs) out_plain.push_back(in_arena(v) ? 0 : 1);
    PreparedNode prepared;
    prepared.step = backend.prepare({graph, node, in, out, in_frozen, out_plain});
    for (size_t i = 0; i < out.size(); ++i) layouts[index_of(node.outputs[i])] = out[i];
    nodes.push_back(std::move(prepared));
  }
}

std::vector<Value> Program::Impl::share_in_place(const std::vector<int>& last_use) const {
  std::vector<Value> home(tensors.size());
  for (int id = 0; id < graph.value_count(); ++id) home[static_cast<size_t>(id)] = {id};
  for (size_t index = 0; index < graph.nodes().size(); ++index) {
    const Node& node = graph.nodes()[index];
    const int at = node.op->alias.in_place_input;
    if (at < 0 || static_cast<size_t>(at) >= node.inputs.size()) continue;
    const Value source = node.inputs[static_cast<size_t>(at)], target = node.outputs[0];
    const bool dies = last_use[index_of(source)] == static_cast<int>(index) &&
                      std::ranges::count(node.inputs, source) == 1;
    const bool same = layouts[index_of(source)] == layouts[index_of(target)] &&
                      graph.desc(source) == graph.desc(target);
    if (dies && same && in_arena(source) && in_arena(target)) {
      home[index_of(target)] = home[index_of(source)];
    }
  }
  return home;
}

void Program::Impl::plan_memory() {
  const int count = static_cast<int>(nodes.size());
  std::vector<int> last_use(tensors.size(), -1);
  for (int index = 0; index < count; ++index) {
    const Node& node = graph.nodes()[static_cast<size_t>(index)];
    for (const Value v : node.inputs) last_use[index_of(v)] = index;
    for (const Value v : node.outputs) last_use[index_of(v)] = index;
  }
  const std::vector<Value> home = share_in_place(last_use);

  std::vector<Lifetime> blocks;
  std::map<int, size_t> block_of;  // value id -> block
  for (int index = 0; index < count; ++index) {
    for (const Value v : graph.nodes()[static_cast<size_t>(index)].outputs) {
      if (!in_arena(v)) continue;
      const auto [at, fresh] = block_of.try_emplace(home[index_of(v)].id, blocks.size());
      if (fresh) blocks.push_back({index, index, 0});
      Lifetime& block = blocks[at->second];
      block.last = std::max(block.last, last_use[index_of(v)]);
      block.bytes = std::max(block.bytes, bytes_of(v));
    }
  }
  const size_t value_blocks = blocks.size();
  for (int index = 0; index < count; ++index) {
    blocks.push_back({index, index, nodes[static_cast<size_t>(index)].step->workspace});
  }
  const ArenaPlan plan = plan_arena(blocks);
  arena = backend.allocate(plan.bytes, Memory::device);

  auto* base = static_cast<std::byte*>(arena.data());
  const auto pointer = [&](Value v) -> void* {
    if (tensors[index_of(v)]) return tensors[index_of(v)].data();
    return base + plan.offsets[block_of.at(home[index_of(v)].id)];
  };
  for (size_t index = 0; index < nodes.size(); ++index) {
    const Node& node = graph.nodes()[index];
    PreparedNode& prepared = nodes[index];
    for (const Value v : node.inputs) prepared.inputs.push_back(pointer(v));
    for (const Value v : node.outputs) prepared.outputs.push_back(pointer(v));
    prepared.pointers = {prepared.inputs, prepared.outputs,
                         base + plan.offsets[value_blocks + index], weights_version};
  }
}

Program::Program(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

void Program::run(Stream& stream) {
  for (PreparedNode& node : impl_->nodes) {
    node.pointers.weights_version = impl_->weights_version;
    node.step->run(stream, node.pointers);
  }
}

void Program::weights_changed() { ++impl_->weights_version; }

Tensor Program::tensor(Value v) const {
  KD_CHECK(v.id >= 0 && index_of(v) < impl_->tensors.size() && impl_->tensors[index_of(v)],
           "value {} is neither a leaf nor an output of the program", v.id);
  return impl_->tensors[index_of(v)];
}

size_t Program::arena_bytes() const { return impl_->arena.bytes(); }

int Program::reorders_per_run() const {
  int reorders = 0;
  for (const PreparedNode& node : impl_->nodes) reorders += node.step->reorders;
  return reorders;
}

std::vector<PlannedNode> Program::plan() const {
  std::vector<PlannedNode> rows;
  for (size_t index = 0; index < impl_->nodes.size(); ++index) {
    const Node& node = impl_->graph.nodes()[index];
    PlannedNode row{std::string(node.op->name), node.name, {}, {}, 0, 0, node.outputs};
    if (!node.outputs.empty()) {
      const LayoutPtr& layout = impl_->layouts[index_of(node.outputs[0])];
      row.detail = impl_->graph.desc(node.outputs[0]).str() + (layout ? " " + layout->str() : "");
    }
    if (node.op->cost != nullptr) row.cost = node.op->cost(impl_->graph, node);
    row.workspace = impl_->nodes[index].step->workspace;
    row.reorders = impl_->nodes[index].step->reorders;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<Span> Program::profile(Stream& stream) {
  std::vector<Span> spans;
  for (PreparedNode& node : impl_->nodes) {
    node.pointers.weights_version = impl_->weights_version;
    spans.push_back(timed([&] {
      node.step->run(stream, node.pointers);
      impl_->backend.synchronize(stream);
    }));
  }
  return spans;
}

Program compile(Graph graph, Backend& backend, const CompileOptions& options) {
  expand_unsupported(graph, [&](const Node& node) { return backend.supports(graph, node); });
  std::vector<Value> wanted = options.outputs;
  for (const Binding& binding : options.bindings) {
    if (graph.info(binding.value).role == Role::activation) wanted.push_back(binding.value);
  }
  drop_dead_nodes(graph, wanted);
  auto impl = std::make_unique<Program::Impl>(std::move(graph), backend);
  impl->bind(options);
  impl->prepare(options);
  impl->plan_memory();
  return Program(std::move(impl));
}

}  // namespace kd
