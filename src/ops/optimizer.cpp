// The update of a flat arena and LAMB's norms; what they stand on is in training.cpp.
#include <algorithm>
#include <array>

#include "core/names.h"
#include "kd/optimizer_ops.h"
#include "ops/common.h"

namespace kd {
namespace {

using In = OptimizerInput;

constexpr std::array<std::string_view, 6> kKinds{"sgd",  "adagrad", "rmsprop",
                                                 "adam", "adamw",   "lamb"};
constexpr std::array<std::string_view, kOptimizerInputs> kInputs{
    "weights",  "first",    "second",  "low_weights", "low_gradient", "high_gradient",
    "start",    "lr_scale", "squares", "loss_scale",  "lr",           "step",
    "counters", "segments", "norms"};

bool counts_updates(OptimizerKind kind) {
  return kind == OptimizerKind::adam || kind == OptimizerKind::adamw || kind == OptimizerKind::lamb;
}

// One node's inputs, by name.
class Inputs {
 public:
  Inputs(const Graph& graph, const Node& node)
      : graph_(graph), node_(node), attrs_(node.attr<OptimizerAttrs>()) {}

  bool has(In input) const { return has_input(attrs_, input); }
  const TensorDesc& desc(In input) const { return in_desc(graph_, node_, place_of(input)); }
  int64_t elements(In input) const { return has(input) ? desc(input).shape.elements() : 0; }

  void expect(In input, bool needed) const {
    KD_CHECK(
        has(input) == needed, "{}: {} {}", label(node_), name_of(attrs_.kind),
        format(needed ? "needs '{}'" : "takes no '{}' as it is set", kInputs[place_of(input)]));
  }
  void expect(In input, DType dtype, const Shape& shape) const {
    if (!has(input)) return;
    KD_CHECK(desc(input) == (TensorDesc{dtype, shape}), "{}: '{}' is {}, expected {}", label(node_),
             kInputs[place_of(input)], desc(input).str(), (TensorDesc{dtype, shape}).str());
  }

 private:
  const Graph& graph_;
  const Node& node_;
  const OptimizerAttrs& attrs_;
};

void check_numbers(const Node& node, int64_t elements) {
  const auto& a = node.attr<OptimizerAttrs>();
  const auto check = [&](bool good, const char* what, double value) {
    KD_CHECK(good, "{}: {} is {}", label(node), what, value);
  };
  const auto fraction = [](double value) { return value >= 0 && value < 1; };
  check(fraction(a.beta1), "beta1", a.beta1);
  check(fraction(a.beta2), "beta2", a.beta2);
  check(fraction(a.alpha), "alpha", a.alpha);
  check(a.momentum >= 0, "momentum", a.momentum);
  check(a.epsilon > 0, "epsilon", a.epsilon);  // the arena's padding would become 0/0
  check(a.weight_decay >= 0, "weight_decay", a.weight_decay);
  check(a.l1 >= 0, "l1", a.l1);
  check(a.l2_start >= 0, "l2_start", a.l2_start);
  check(a.max_gradient_norm >= 0, "max_gradient_norm", a.max_gradient_norm);
  KD_CHECK(a.decay_elements >= 0 && a.decay_elements <= elements,
           "{}: {} of {} elements are to be decayed", label(node), a.decay_elements, elements);
}

void check_presence(const Inputs& in, const OptimizerAttrs& attrs) {
  const OptimizerKind kind = attrs.kind;
  for (const In input : {In::weights, In::high_gradient, In::lr}) in.expect(input, true);
  in.expect(In::first, has_first_moment(kind));
  in.expect(In::second, has_second_moment(kind));
  in.expect(In::start, attrs.l2_start > 0);
  in.expect(In::step, counts_updates(kind));
  in.expect(In::segments, kind == OptimizerKind::lamb);
  if (attrs.max_gradient_norm > 0) in.expect(In::squares, true);
  if (in.has(In::low_gradient)) in.expect(In::low_weights, true);
  if (in.has(In::counters)) in.expect(In::step, true);
}

void check_arena(const Graph& graph, const Node& node, const Inputs& in) {
  expect_inputs(node, kOptimizerInputs, kOptimizerInputs);
  const auto& attrs = node.attr<OptimizerAttrs>();
  check_presence(in, attrs);
  expect_input(graph, node, 0, DType::f32, 1);
  const Shape& all = in.desc(In::weights).shape;
  check_numbers(node, all[0]);
  for (const In input : {In::first, In::second, In::start, In::lr_scale}) {
    in.expect(input, DType::f32, all);
  }
  const int64_t low = in.elements(In::low_weights);
  if (in.has(In::low_weights)) {
    expect_float(graph, node, place_of(In::low_weights), 1);
    KD_CHECK(low <= all[0], "{}: {} of {} weights have copies", label(node), low, all[0]);
    in.expect(In::low_gradient, in.desc(In::low_weights).dtype, {low});
  }
  in.expect(In::high_gradient, DType::f32, {all[0] - in.elements(In::low_gradient)});
  in.expect(In::squares, DType::f32, {kGradientPartials});
  in.expect(In::loss_scale, DType::f32, {1});
  in.expect(In::lr, DType::f32, {1});
  in.expect(In::step, DType::i64, {2});
  in.expect(In::counters, DType::i32, {2});
  if (!in.has(In::segments)) return;
  expect_input(graph, node, place_of(In::segments), DType::i32, 1);
  KD_CHECK(in.elements(In::segments) >= 2, "{}: no tensor is in 'segments'", label(node));
}

std::vector<TensorDesc> infer_update(const Graph& graph, const Node& node) {
  const Inputs in(graph, node);
  check_arena(graph, node, in);
  const bool lamb = node.attr<OptimizerAttrs>().kind == OptimizerKind::lamb;
  in.expect(In::norms, lamb);
  if (lamb) in.expect(In::norms, DType::f32, {in.elements(In::segments) - 1, 2, kNormPartials});
  return {};
}

std::vector<TensorDesc> infer_norms(const Graph& graph, const Node& node) {
  const Inputs in(graph, node);
  check_arena(graph, node, in);
  in.expect(In::norms, false);
  KD_CHECK(in.has(In::segments), "{}: {} has no norms", label(node),
           name_of(node.attr<OptimizerAttrs>().kind));
  return {{DType::f32, {in.elements(In::segments) - 1, 2, kNormPartials}}};
}

// What is read once, and (`writes`) the updated ones written once.
Cost arena_cost(const Graph& graph, const Node& node, bool writes) {
  const Inputs in(graph, node);
  Cost cost;
  for (size_t i = 0; i < kOptimizerInputs; ++i) {
    const In input = static_cast<In>(i);
    if (!in.has(input)) continue;
    const auto bytes = static_cast<double>(in.desc(input).bytes());
    if (input != In::low_weights) cost.bytes += bytes;
    if (writes && i <= place_of(In::low_weights)) cost.bytes += bytes;
  }
  const double flops = has_second_moment(node.attr<OptimizerAttrs>().kind) ? 14 : 6;
  cost.flops = static_cast<double>(in.elements(In::weights)) * flops;
  return cost;
}
Cost update_cost(const Graph& graph, const Node& node) { return arena_cost(graph, node, true); }
Cost norms_cost(const Graph& graph, const Node& node) { return arena_cost(graph, node, false); }

// Adds a node whose inputs are all in their places, and says which are there.
std::vector<Value> add_node(Graph& graph, const OpDef& op, const OptimizerArena& a,
                            OptimizerAttrs attrs) {
  std::vector<Value> inputs{a.weights,      a.first,         a.second, a.low_weights,
                            a.low_gradient, a.high_gradient, a.start,  a.lr_scale,
                            a.squares,      a.loss_scale,    a.lr,     a.step,
                            a.counters,     a.segments,      a.norms};
  attrs.inputs = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]) {
      attrs.inputs |= int64_t{1} << i;
    } else {
      inputs[i] = a.weights;
    }
  }
  return graph.add(op, inputs, attrs);
}

}  // namespace

std::string_view name_of(OptimizerKind kind) { return kKinds[static_cast<size_t>(kind)]; }

OptimizerKind optimizer_from_name(std::string_view name) {
  const auto* at = std::ranges::find(kKinds, name);
  if (at != kKinds.end()) return static_cast<OptimizerKind>(at - kKinds.begin());
  fail(ErrorCode::input, "unknown optimizer '{}'{}", name,
       suggestion(name, {kKinds.begin(), kKinds.end()}));
}

bool has_first_moment(OptimizerKind kind) {
  return kind != OptimizerKind::adagrad && kind != OptimizerKind::rmsprop;
}
bool has_second_moment(OptimizerKind kind) { return kind != OptimizerKind::sgd; }

const OpDef op_optimizer_update{"optimizer_update",
                                OpKind::base,
                                infer_update,
                                nullptr,
                                nullptr,
                                update_cost,
                                Alias::never(),
                                1u << 0 | 1u << 1 | 1u << 2 | 1u << 3};
const OpDef op_lamb_norms{"lamb_norms", OpKind::base, infer_norms, nullptr, nullptr, norms_cost};

void optimizer_update(Graph& graph, const OptimizerArena& arena, const OptimizerAttrs& attrs) {
  add_node(graph, op_optimizer_update, arena, attrs);
}

Value lamb_norms(Graph& graph, const OptimizerArena& arena, const OptimizerAttrs& attrs) {
  return add_node(graph, op_lamb_norms, arena, attrs)[0];
}

}  // namespace kd
