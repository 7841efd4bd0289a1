// The graph, differentiation, replay and lowering, on ops made up here: the core knows no other.
#include "kd/graph.h"

#include <gtest/gtest.h>

#include "core/lowering.h"
#include "kd/error.h"
#include "kd/ops.h"

namespace kd {
namespace {

std::vector<TensorDesc> same_as_first(const Graph& graph, const Node& node) {
  return {graph.desc(node.inputs[0])};
}

// twice(x) = x + x, with the vjp of a linear map.
extern const OpDef op_twice;
void twice_vjp(Graph& graph, const Node& node, Grads& grads) {
  grads.add(node.inputs[0], graph.add(op_twice, {grads.of(node.outputs[0])})[0]);
}
std::vector<Value> twice_expand(Graph& graph, const Node& node) {
  return {add(graph, node.inputs[0], node.inputs[0])};
}
const OpDef op_twice{"twice", OpKind::fused, same_as_first, twice_vjp, twice_expand};
const OpDef op_opaque{"opaque", OpKind::base, same_as_first};
std::vector<TensorDesc> nothing(const Graph&, const Node&) { return {}; }
const OpDef op_update{"update", OpKind::base, nothing,        nullptr,
                      nullptr,  nullptr,      Alias::never(), 1};

const TensorDesc kDesc{DType::f32, {2, 3}};

TEST(GraphTest, LeavesAreNamedOnce) {
  Graph graph;
  const Value x = graph.input("x", kDesc);
  EXPECT_EQ(graph.find("x"), x);
  EXPECT_FALSE(graph.find("y"));
  EXPECT_THROW(graph.parameter("x", kDesc), Error);
  EXPECT_EQ(graph.producer(x), -1);
  EXPECT_EQ(graph.producer(graph.add(op_twice, {x})[0]), 0);
  EXPECT_THROW(graph.add(op_twice, {Value{99}}), Error);
}

TEST(GraphTest, NodesMustBeInOrder) {
  Graph graph;
  const Value x = graph.input("x", kDesc);
  const Value a = graph.add(op_twice, {x})[0];
  graph.add(op_twice, {a});
  const std::vector<Node> nodes = graph.nodes();
  EXPECT_THROW(graph.set_nodes({nodes[1], nodes[0]}), Error);
  EXPECT_NO_THROW(graph.set_nodes({nodes[0]}));
}

TEST(AutogradTest, SumsWhatArrivesAndLeavesOutWhatIsNotAsked) {
  Graph graph;
  const Value x = graph.input("x", kDesc), w = graph.parameter("w", kDesc);
  const Value y = add(graph, graph.add(op_twice, {w})[0], add(graph, w, x));
  const Value seed = graph.input("seed", kDesc);
  const size_t before = graph.nodes().size();
  const std::vector<Seed> seeds{{y, seed}};
  const std::vector<Value> wrt{w};
  const std::vector<Value> gradients = differentiate(graph, seeds, wrt);
  ASSERT_EQ(gradients.size(), 1u);
  EXPECT_EQ(graph.desc(gradients[0]), kDesc);
  // twice's vjp, and one add that sums the two ways to w; nothing for x.
  EXPECT_EQ(graph.nodes().size(), before + 2);
  EXPECT_EQ(graph.nodes().back().op->name, "add");
}

TEST(AutogradTest, NamesWhatCannotBeDifferentiated) {
  Graph graph;
  const Value w = graph.parameter("w", kDesc), unused = graph.parameter("unused", kDesc);
  const Value seed = graph.input("seed", kDesc);
  const Value y = graph.add(op_opaque, {w}, {}, "layer9")[0];
  const std::vector<Seed> seeds{{y, seed}};
  const auto message = [&](Value wrt) -> std::string {
    try {
      const std::vector<Value> asked{wrt};
      differentiate(graph, seeds, asked);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message(w), "opaque 'layer9' is not differentiable");
  EXPECT_EQ(message(unused), "nothing of the objective depends on 'unused'");
}

TEST(ReplayTest, InfersAnewAndRewrites) {
  Graph graph;
  const Value x = graph.input("x", kDesc);
  const Value y = graph.add(op_twice, {graph.add(op_opaque, {x})[0]})[0];
  const Replayed copy = replay(
      graph,
      [](const ValueInfo&) {
        return TensorDesc{DType::f32, {7, 3}};
      },
      [](Graph&, const Node& node, const std::vector<Value>& inputs) {
        return node.op == &op_opaque ? inputs : std::vector<Value>{};
      });
  ASSERT_EQ(copy.graph.nodes().size(), 1u);
  EXPECT_EQ(copy.graph.nodes()[0].op, &op_twice);
  EXPECT_EQ(copy.graph.shape(copy.values[static_cast<size_t>(y.id)]), Shape({7, 3}));
}

TEST(LoweringTest, ExpandsInPlaceAndKeepsValueIds) {
  Graph graph;
  const Value x = graph.input("x", kDesc);
  const Value y = graph.add(op_twice, {x})[0];
  const Value z = graph.add(op_opaque, {y})[0];
  expand_unsupported(graph, [](const Node& node) { return node.op != &op_twice; });
  ASSERT_EQ(graph.nodes().size(), 2u);
  EXPECT_EQ(graph.nodes()[0].op->name, "add");
  EXPECT_EQ(graph.nodes()[0].outputs[0], y);
  EXPECT_EQ(graph.nodes()[1].outputs[0], z);
}

TEST(LoweringTest, DropsTheDeadKeepsUpdates) {
  Graph graph;
  const Value x = graph.input("x", kDesc);
  const Value wanted = graph.add(op_opaque, {x})[0];
  graph.add(op_twice, {wanted});
  graph.add(op_update, {graph.add(op_opaque, {x})[0]});
  const std::vector<Value> outputs{wanted};
  drop_dead_nodes(graph, outputs);
  ASSERT_EQ(graph.nodes().size(), 3u);
  EXPECT_EQ(graph.nodes()[2].op, &op_update);
}

}  // namespace
}  // namespace kd
