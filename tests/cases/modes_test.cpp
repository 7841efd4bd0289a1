// The modes on the CPU: every case against the oracle, its gradient, values used twice, fused ops
// against their definitions, blocked memory layouts.
#include <gtest/gtest.h>

#include "cases/checks.h"

namespace kd::test {
namespace {

std::string name_of_case(const testing::TestParamInfo<CaseOf>& info) {
  return info.param.a_case->name;
}

class Mode : public testing::TestWithParam<CaseOf> {
 protected:
  const Case& a_case() const { return *GetParam().a_case; }
  const Arrays inputs_ = contents(*GetParam().a_case);
  std::string outputs(const Built& built) const { return check_outputs(a_case(), built, cpu()); }
  std::string gradients(const Built& built) const {
    return check_gradients(a_case(), built, cpu());
  }
};

using Cpu = Mode;
TEST_P(Cpu, MatchesTheOracle) { EXPECT_EQ("", outputs(build(a_case(), inputs_))); }

using Gradient = Mode;
TEST_P(Gradient, MatchesCentralDifferences) { EXPECT_EQ("", gradients(build(a_case(), inputs_))); }

// The leaves feed the case twice, with two seeds, and are seeded themselves: gradients add up.
using Accumulated = Mode;
TEST_P(Accumulated, SumsWhatArrives) {
  const Array first = random_seed(a_case(), 1), second = random_seed(a_case(), 2);
  Array both = first;
  for (int64_t i = 0; i < both.size(); ++i) {
    both.at(i) = static_cast<float>(first.at(i) + second.at(i));
  }
  const std::vector<size_t> indices = differentiable(a_case());
  const auto wrt = [&](const Built& built) {
    std::vector<Value> values;
    for (const size_t i : indices) values.push_back(built.leaves[i].value);
    return values;
  };
  Built once = build(a_case(), inputs_);
  differentiate_outputs(once, {{once.outputs.at(a_case().seeded), both}}, wrt(once));
  Arrays want = execute(once);

  Built twice = build(a_case(), inputs_);
  std::vector<Value> leaves;
  for (const Bound& leaf : twice.leaves) leaves.push_back(leaf.value);
  const Value again = a_case().build(twice.graph, leaves).at(a_case().seeded);
  std::vector<SeedOf> seeds{{twice.outputs.at(a_case().seeded), first}, {again, second}};
  for (size_t i = 0; i < indices.size(); ++i) {
    Array own = inputs_[indices[i]];
    Random random(3 + i);
    normal()(own, random, {});
    for (double& element : own.data) element = static_cast<float>(element);
    seeds.push_back({leaves[indices[i]], own});
    for (int64_t e = 0; e < own.size(); ++e) want[i].at(e) += own.at(e);
  }
  differentiate_outputs(twice, seeds, wrt(twice));
  const Arrays got = execute(twice);
  for (size_t i = 0; i < indices.size(); ++i) {
    EXPECT_EQ("", difference(got[i], want[i], gradient_tolerance(a_case()),
                             "gradient of " + a_case().leaves[indices[i]].name));
  }
}

using Fused = Mode;
TEST_P(Fused, DefinitionMatchesTheOracle) {
  EXPECT_EQ("", outputs(build_expanded(a_case(), inputs_)));
}
TEST_P(Fused, GradientOfTheDefinitionMatches) {
  if (!has_gradient(a_case())) return;
  EXPECT_EQ("", gradients(build_expanded(a_case(), inputs_)));
}

using Blocked = Mode;
TEST_P(Blocked, MatchesTheOracle) { EXPECT_EQ("", outputs(build_blocked(a_case(), inputs_))); }
TEST_P(Blocked, GradientMatches) {
  if (!has_gradient(a_case())) return;
  EXPECT_EQ("", gradients(build_blocked(a_case(), inputs_)));
}

bool always(const Case&) { return true; }
bool is_blocked(const Case& a_case) { return a_case.blocked; }

INSTANTIATE_TEST_SUITE_P(Cases, Cpu, testing::ValuesIn(cases_where(always)), name_of_case);
INSTANTIATE_TEST_SUITE_P(Cases, Gradient, testing::ValuesIn(cases_where(has_gradient)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Cases, Accumulated, testing::ValuesIn(cases_where(has_gradient)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(Cases, Fused, testing::ValuesIn(cases_where(has_fused_op)), name_of_case);
INSTANTIATE_TEST_SUITE_P(Cases, Blocked, testing::ValuesIn(cases_where(is_blocked)), name_of_case);

}  // namespace
}  // namespace kd::test
