// One graph of ops: values, the nodes that make them, and reverse-mode differentiation that
// appends gradient nodes to the same graph. Knows no particular op and no device.
#pragma once

#include <any>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kd/tensor.h"

namespace kd {

class Graph;
struct Node;
class Grads;

// A handle to a value of one graph.
struct Value {
  int id = -1;
  explicit operator bool() const { return id >= 0; }
  bool operator==(const Value&) const = default;
};

// Where a value comes from. Leaves (all but activation) have a name and no producer.
enum class Role : uint8_t {
  activation,  // made by a node
  input,       // given anew for every run: images, labels, learning rate
  parameter,   // trained
  state,       // updated by running, not by gradients: BN running statistics
};

struct ValueInfo {
  TensorDesc desc;
  Role role = Role::activation;
  std::string name;
};

// Bytes that a node must move at least, and the FLOPs it must do (1 MAC = 2 FLOP).
struct Cost {
  double bytes = 0;
  double flops = 0;
};

// May output 0 share the memory of an input? The planner obeys, the tests check.
struct Alias {
  int in_place_input = -1;  // -1: never; i: yes, if input i is dead afterwards
  static constexpr Alias never() { return {}; }
  static constexpr Alias in_place(int input) { return {input}; }
};

enum class OpKind : uint8_t { base, fused };  // a fused op owns an expansion into base ops

// One op: static data, no state. Listed in src/ops/ops.def.
struct OpDef {
  std::string_view name;
  OpKind kind = OpKind::base;
  // The shapes, dtypes of all outputs; throws Error naming the tensors when inputs do not fit.
  std::vector<TensorDesc> (*infer)(const Graph&, const Node&) = nullptr;
  // Emits the ops of the gradient; nullptr = not differentiable.
  void (*vjp)(Graph&, const Node&, Grads&) = nullptr;
  // Fused ops: builds the same outputs from base ops and returns them.
  std::vector<Value> (*expand)(Graph&, const Node&) = nullptr;
  Cost (*cost)(const Graph&, const Node&) = nullptr;
  Alias alias = Alias::never();
  uint32_t updates = 0;  // bit i: input i (a state or parameter) is overwritten
};

struct Node {
  const OpDef* op = nullptr;
  std::string name;  // layer path, "layer1.0.conv1"
  std::vector<Value> inputs, outputs;
  std::any attrs;  // the op's attribute struct (kd/ops.h)

  template <class T>
  const T& attr() const {
    return std::any_cast<const T&>(attrs);
  }
};

class Graph {
 public:
  Value input(std::string name, TensorDesc desc);
  Value parameter(std::string name, TensorDesc desc);
  Value state(std::string name, TensorDesc desc);
  Value leaf(Role role, std::string name, TensorDesc desc);

  // Appends a node; infers and returns its outputs. `name` is the layer path, for messages.
  std::vector<Value> add(const OpDef& op, std::vector<Value> inputs, std::any attrs = {},
                         std::string name = {});

  const ValueInfo& info(Value v) const { return values_.at(static_cast<size_t>(v.id)); }
  const TensorDesc& desc(Value v) const { return info(v).desc; }
  const Shape& shape(Value v) const { return info(v).desc.shape; }
  int value_count() const { return static_cast<int>(values_.size()); }
  const std::vector<Node>& nodes() const { return nodes_; }
  std::vector<Value> leaves(Role role) const;  // in order of creation
  Value find(std::string_view name) const;     // a leaf by name; Value{} if there is none
  int producer(Value v) const;                 // node index, or -1 for a leaf

  // Replaces the node list (passes do): topological order, same value ids.
  void set_nodes(std::vector<Node> nodes);
  // Appends an activation that no node makes yet (for passes that then set_nodes).
  Value new_activation(TensorDesc desc);

  std::string dump() const;  // one line a node

 private:
  std::vector<ValueInfo> values_;
  std::vector<int> producers_;  // node index of each value, -1 for leaves
  std::vector<Node> nodes_;
};

// Gradients while differentiating: sums what arrives at a value.
class Grads {
 public:
  Grads(Graph& graph, std::vector<char> needed);
  bool needs(Value v) const;          // does anything asked for depend on v?
  Value of(Value v) const;            // the sum so far; Value{} if none arrived
  void add(Value v, Value gradient);  // ignored where needs(v) is false

 private:
  Graph& graph_;
  std::vector<char> needed_;
  std::vector<Value> sums_;
};

struct Seed {
  Value value, gradient;  // d(objective)/d(value) is `gradient`
};
// Appends the gradient nodes and returns d(objective)/d(w) for each w of `wrt`. Throws Error if a
// w gets no gradient or an op on the way is not differentiable. Updates of what it reads run last.
std::vector<Value> differentiate(Graph& graph, std::span<const Seed> seeds,
                                 std::span<const Value> wrt);

// By value id: does any of `ends` depend on it (or is it)?
std::vector<char> ancestors(const Graph& graph, std::span<const Value> ends);

// Copies `graph`, node by node, inferring anew. `leaf_desc` may change a leaf's shape (the batch
// size, say); `rewrite`, if it returns outputs, replaces a node. Returns the new graph and the
// map from old value id to new value.
struct Replayed {
  Graph graph;
  std::vector<Value> values;
};
using LeafDesc = std::function<TensorDesc(const ValueInfo&)>;
using NodeRewrite =
    std::function<std::vector<Value>(Graph&, const Node&, const std::vector<Value>& inputs)>;
Replayed replay(const Graph& graph, const LeafDesc& leaf_desc = {},
                const NodeRewrite& rewrite = {});

// Copies what `ends` depend on into another graph and returns them there. `known`: values of `from`
// that are there already (their makers are not copied); `leaf` makes the other leaves, by default
// with the same role, name and description.
struct Splice {
  std::vector<std::pair<Value, Value>> known = {};
  std::function<Value(Graph& to, const ValueInfo&)> leaf = {};
  NodeRewrite rewrite = {};
};
std::vector<Value> splice(Graph& to, const Graph& from, std::span<const Value> ends,
                          const Splice& how = {});

}  // namespace kd
