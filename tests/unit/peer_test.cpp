// The step of a stage whose terms train more than the student: what is in its graph.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "distill/step_graph.h"
#include "kd/error.h"
#include "kd/ops.h"
#include "support/small_task.h"

namespace kd {
namespace {

class PeerStepTest : public testing::Test {
 protected:
  Model model(uint64_t seed, int64_t classes = 10) const {
    return build_model(task_.at("student.json"), classes, seed);
  }
  static RunConfig stage(std::vector<TermSpec> terms) {
    RunConfig c;
    c.batch_size = 4;
    c.terms = std::move(terms);
    return c;
  }
  static TermSpec mutual() {
    TermSpec term{"mutual"};
    term.model = "beside.json";
    return term;
  }
  StepGraph graph_of(const RunConfig& config, const Model& peer, DType dtype) const {
    return build_step_graph({&student_, {}, {{"beside.json", &peer}}}, config,
                            {.dtype = dtype, .backend = backend_.get()});
  }
  std::set<std::string> trained(const StepGraph& step) const {
    std::set<std::string> names;
    for (const Value v : step.parameters) names.insert(step.graph.info(v).name);
    return names;
  }
  test::SmallTask task_;  // its student drops out
  std::unique_ptr<Backend> backend_ = make_backend(Device::cpu, {.threads = 2});
  const Model student_ = model(1);
};

TEST_F(PeerStepTest, APeerTrainsWithWeightsOfItsOwn) {
  const Model peer = model(2);
  for (const DType dtype : {DType::f32, DType::f16}) {
    const StepGraph step = graph_of(stage({{"ce"}, mutual()}), peer, dtype);
    const std::set<std::string> names = trained(step);
    for (const Value v : student_.graph.leaves(Role::parameter)) {
      const std::string& name = student_.graph.info(v).name;
      EXPECT_TRUE(names.contains(name) && names.contains("term.mutual." + name)) << name;
      const Tensor& initial = step.initial.at("term.mutual." + name);
      EXPECT_EQ(initial.data(), peer.tensors.at(name).data()) << name;
      EXPECT_EQ(step.graph.desc(step.graph.find(name)),
                step.graph.desc(step.graph.find("term.mutual." + name)));
    }
    EXPECT_EQ(names.size(), 2 * student_.graph.leaves(Role::parameter).size());
    std::set<int64_t> dropouts;
    for (const Node& node : step.graph.nodes()) {
      if (node.op->name == "dropout") dropouts.insert(node.attr<DropoutAttrs>().tensor_id);
    }
    EXPECT_EQ(dropouts.size(), 2u) << "student and peer drop the same places";
  }
}

TEST_F(PeerStepTest, FrozenLayersOfTheStudentAreNotThePeers) {
  RunConfig config = stage({{"ce"}, mutual()});
  config.freeze = {"*"};
  const Model peer = model(2);
  for (const std::string& name : trained(graph_of(config, peer, DType::f32))) {
    EXPECT_TRUE(name.starts_with("term.mutual.")) << name;
  }
}

TEST_F(PeerStepTest, APeerOfOtherClassesIsRefused) {
  const Model peer = model(2, 7);
  EXPECT_THROW(graph_of(stage({{"ce"}, mutual()}), peer, DType::f32), Error);
}

// Alone, self teaches the stages from logits that nothing teaches: the classifier stays as it is.
TEST_F(PeerStepTest, SelfLeavesTheDeepestClassifierAlone) {
  const StepGraph alone = graph_of(stage({{"self"}}), student_, DType::f32);
  EXPECT_NE(std::ranges::find(alone.unreached, "fc.weight"), alone.unreached.end());
  EXPECT_FALSE(trained(alone).contains("fc.weight"));
  EXPECT_TRUE(
      trained(graph_of(stage({{"ce"}, {"self"}}), student_, DType::f32)).contains("fc.weight"));
}

}  // namespace
}  // namespace kd
