#include "distill/update_graph.h"

#include <algorithm>
#include <charconv>

#include "core/names.h"
#include "kd/error.h"
#include "kd/layers.h"
#include "kd/optimizer_ops.h"

namespace kd {
namespace {

OptimizerKind kind_of(const RunConfig& stage) {
  return stage.opt == "nesterov" ? OptimizerKind::sgd : optimizer_from_name(stage.opt);
}

OptimizerAttrs attrs_of(const RunConfig& c, const Variables& variables) {
  OptimizerAttrs attrs;
  attrs.kind = kind_of(c);
  attrs.momentum = c.momentum;
  attrs.nesterov = c.opt == "nesterov";
  attrs.alpha = c.rms_decay;
  attrs.beta1 = c.beta1;
  attrs.beta2 = c.beta2;
  attrs.epsilon = c.epsilon;
  attrs.weight_decay = c.weight_decay;
  attrs.l1 = c.l1;
  attrs.l2_start = c.l2_start;
  attrs.decay_elements = variables.decayed();
  attrs.max_gradient_norm = c.clip_norm;
  return attrs;
}

// A graph whose leaves are bound to memory as they are made.
struct BoundGraph {
  Graph graph;
  CompileOptions options;
  Value leaf(Role role, const std::string& name, const Tensor& tensor) {
    const Value v = graph.leaf(role, name, tensor.desc());
    options.bindings.push_back({v, tensor});
    return v;
  }
  Program compiled(Backend& backend) { return compile(std::move(graph), backend, options); }
};

bool counts_updates(OptimizerKind kind) {
  return kind == OptimizerKind::adam || kind == OptimizerKind::adamw || kind == OptimizerKind::lamb;
}

// i32 (S + 1): where each tensor begins, and the end.
Tensor segments_of(const Variables& variables, Backend& backend) {
  std::vector<int32_t> begins;
  for (const std::string& name : variables.trained()) {
    begins.push_back(static_cast<int32_t>(variables.offset(name)));
  }
  begins.push_back(static_cast<int32_t>(variables.parameters().elements()));
  const TensorDesc desc{DType::i32, {static_cast<int64_t>(begins.size())}};
  Tensor made(desc, backend.allocate(desc.bytes(), Memory::device));
  const auto stream = backend.stream(Priority::normal);
  backend.copy(made.data(), begins.data(), desc.bytes(), *stream);
  backend.synchronize(*stream);
  return made;
}

Program advance(const UpdateMemory& memory, Backend& backend) {
  BoundGraph g;
  advance_step(g.graph, g.leaf(Role::state, "key", memory.key),
               g.leaf(Role::state, "row", memory.row), g.leaf(Role::input, "table", memory.table));
  return g.compiled(backend);
}

// Adam's clock: counts on beside the steps, which may be several to an update.
void count_update(BoundGraph& g, Value updates, Backend& backend) {
  const TensorDesc row{DType::f32, {1}}, table{DType::f32, {1, 1}};
  const auto memory = [&](const TensorDesc& desc) {
    return Tensor(desc, backend.allocate(desc.bytes(), Memory::device));
  };
  advance_step(g.graph, updates, g.leaf(Role::state, "no_row", memory(row)),
               g.leaf(Role::input, "no_table", memory(table)));
}

void constrain(BoundGraph& g, const RunConfig& stage, const Variables& variables) {
  for (const std::string& name : variables.trained()) {
    const Tensor w = variables.parameter(name), low = variables.low_parameter(name);
    if (stage.max_norm <= 0 || w.shape().rank() < 2) continue;
    const Value copy = low ? g.leaf(Role::state, name + ".low", low) : Value{};
    max_norm(g.graph, g.leaf(Role::parameter, name, w), copy, {stage.max_norm});
  }
}

}  // namespace

std::vector<std::string> update_arenas(const RunConfig& stage) {
  const OptimizerKind kind = kind_of(stage);
  std::vector<std::string> names;
  if (has_first_moment(kind)) names.emplace_back("first");
  if (has_second_moment(kind)) names.emplace_back("second");
  if (stage.l2_start > 0) names.emplace_back("start");
  if (stage.ema > 0) names.emplace_back("average");
  if (stage.accumulate > 1) names.emplace_back("sum");
  return names;
}

std::map<std::string, double> rate_factors(const RunConfig& stage,
                                           const std::vector<std::string>& trained) {
  std::map<std::string, double> factors;
  for (const std::string& entry : stage.lr_scale) {
    const size_t equals = entry.rfind('=');
    double factor = -1;
    if (equals != entry.npos) {
      const char* end = entry.data() + entry.size();
      const auto read = std::from_chars(entry.data() + equals + 1, end, factor);
      if (read.ec != std::errc() || read.ptr != end) factor = -1;
    }
    if (!(factor >= 0)) {
      fail(ErrorCode::usage, "--lr-scale '{}', expected layer=factor with a factor of 0 or more",
           entry);
    }
    const std::string pattern = entry.substr(0, equals);
    bool found = false;
    for (const std::string& name : trained) {
      if (!matches_layer(pattern, name)) continue;
      found = true;
      factors[name] = factor;
    }
    if (!found) {
      fail(ErrorCode::usage, "--lr-scale '{}' matches no layer that trains{}", entry,
           suggestion(pattern, trained));
    }
  }
  return factors;
}

std::vector<float> rate_scales(const RunConfig& stage, const Variables& variables) {
  if (stage.lr_scale.empty()) return {};
  std::vector<float> scales(static_cast<size_t>(variables.parameters().elements()), 1.0f);
  for (const auto& [name, factor] : rate_factors(stage, variables.trained())) {
    std::fill_n(scales.begin() + variables.offset(name), variables.parameter(name).elements(),
                static_cast<float>(factor));
  }
  return scales;
}

Program Update::sum(double keep, const Variables& v, Backend& backend) const {
  BoundGraph g;
  const AccumulateAttrs attrs{keep, 1 / static_cast<double>(accumulate_)};
  const Tensor all = v.arena("sum");
  const auto part = [&](const char* name, int64_t begin, int64_t count, const Tensor& gradient) {
    if (count == 0) return;
    const Tensor view({DType::f32, {count}}, all.buffer(),
                      static_cast<size_t>(begin) * sizeof(float));
    const Value to = g.leaf(Role::state, std::string("sum.") + name, view);
    gradient_accumulate(g.graph, to, g.leaf(Role::input, name, gradient), attrs);
  };
  if (v.lowered() > 0) part("low", 0, v.lowered(), v.low_gradients());
  part("high", v.lowered(), all.elements() - v.lowered(), v.gradients());
  return g.compiled(backend);
}

Program Update::make_update(const RunConfig& stage, const Variables& v, const UpdateMemory& m,
                            Backend& backend) const {
  BoundGraph g;
  OptimizerAttrs attrs = attrs_of(stage, v);
  const bool summed = accumulate_ > 1, low = v.lowered() > 0;
  OptimizerArena arena;
  arena.weights = g.leaf(Role::parameter, "weights", v.parameters());
  const auto kept = [&](const std::string& name) {
    return g.leaf(Role::state, name, v.arena(name));
  };
  if (has_first_moment(attrs.kind)) arena.first = kept("first");
  if (has_second_moment(attrs.kind)) arena.second = kept("second");
  if (stage.l2_start > 0) arena.start = kept("start");
  arena.lr = g.leaf(Role::state, "lr", m.lr);
  if (m.rate_scale) arena.lr_scale = g.leaf(Role::input, "lr_scale", m.rate_scale);
  if (low) arena.low_weights = g.leaf(Role::state, "low_weights", v.low_parameters());
  if (low && !summed) {
    arena.low_gradient = g.leaf(Role::input, "low_gradients", v.low_gradients());
  }
  arena.high_gradient = summed ? kept("sum") : g.leaf(Role::input, "gradients", v.gradients());
  const Value scale = g.leaf(Role::state, "loss_scale", m.scale);
  if (low) arena.loss_scale = scale;
  // What is not finite changes nothing, so that it can be looked into.
  arena.squares = gradient_squares(g.graph, arena.low_gradient, arena.high_gradient);
  const Value counters = g.leaf(Role::state, "counters", m.counters);
  if (counts_updates(attrs.kind)) {
    arena.step = g.leaf(Role::state, "updates", m.updates);
    arena.counters = counters;
  }
  if (attrs.kind == OptimizerKind::lamb) {
    arena.segments = g.leaf(Role::input, "segments", segments_of(v, backend));
    arena.norms = lamb_norms(g.graph, arena, attrs);
  }
  optimizer_update(g.graph, arena, attrs);
  LossScaleAttrs dynamic;
  if (v.low_dtype() != DType::f16) dynamic.most = 1;  // only f16 underflows
  loss_scale_update(g.graph, arena.squares, scale, counters, dynamic);
  if (arena.step) count_update(g, arena.step, backend);
  constrain(g, stage, v);
  if (stage.ema > 0) ema_update(g.graph, kept("average"), arena.weights, {stage.ema});
  return g.compiled(backend);
}

Update::Update(const RunConfig& stage, const Variables& variables, const UpdateMemory& memory,
               Backend& backend)
    : accumulate_(stage.accumulate),
      update_(make_update(stage, variables, memory, backend)),
      advance_(advance(memory, backend)) {
  if (accumulate_ < 2) return;
  sums_.push_back(sum(0, variables, backend));
  sums_.push_back(sum(1, variables, backend));
}

std::vector<Program*> Update::programs() {
  std::vector<Program*> all;
  for (Program& sum : sums_) all.push_back(&sum);
  all.insert(all.end(), {&update_, &advance_});
  return all;
}

}  // namespace kd
