// Every op and every term has a case, or this fails naming what lacks one.
#include <gtest/gtest.h>

#include <set>

#include "cases/execute.h"
#include "kd/objective.h"
#include "kd/ops.h"

namespace kd::test {
namespace {

TEST(Coverage, EveryOpHasACase) {
  std::set<std::string_view> used;
  for (const Case& a_case : all_cases()) {
    Graph graph;
    std::vector<Value> leaves;
    for (const Leaf& leaf : a_case.leaves)
      leaves.push_back(graph.leaf(Role::parameter, leaf.name, leaf.desc));
    a_case.build(graph, leaves);
    for (const Node& node : graph.nodes()) used.insert(node.op->name);
  }
  for (const OpDef* op : all_ops())
    EXPECT_TRUE(used.contains(op->name)) << op->name << " has no case";
}

TEST(Coverage, EveryTermHasACase) {
  std::set<std::string> used;
  for (const Case& a_case : all_cases()) used.insert(a_case.term);
  for (const TermDef* def : all_terms())
    EXPECT_TRUE(used.contains(std::string(def->name))) << def->name;
}

}  // namespace
}  // namespace kd::test
