// The modes: every case on the CPU against the oracle, its gradient, values used twice, fused ops
// against their definitions, blocked memory layouts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cases/execute.h"

namespace kd::test {
namespace {

struct CaseOf {
  const Case* a_case;
};
void PrintTo(const CaseOf& of, std::ostream* out) { *out << of.a_case->name; }

std::vector<CaseOf> cases_where(const std::function<bool(const Case&)>& wanted) {
  std::vector<CaseOf> chosen;
  for (const Case& a_case : all_cases()) {
    if (wanted(a_case)) chosen.push_back({&a_case});
  }
  return chosen;
}

std::string name_of_case(const testing::TestParamInfo<CaseOf>& info) {
  return info.param.a_case->name;
}

class Mode : public testing::TestWithParam<CaseOf> {
 protected:
  const Case& a_case() const { return *GetParam().a_case; }
  const Arrays inputs_ = contents(*GetParam().a_case);

  std::vector<size_t> differentiable() const {
    std::vector<size_t> indices;
    for (size_t i = 0; i < a_case().leaves.size(); ++i) {
      if (a_case().leaves[i].differentiable) indices.push_back(i);
    }
    return indices;
  }
  std::vector<Value> wrt(const Built& built) const {
    std::vector<Value> values;
    for (const size_t i : differentiable()) values.push_back(built.leaves[i].value);
    return values;
  }
  Array random_like(const Array& like, uint64_t salt) const {
    Random random(std::hash<std::string>()(a_case().name) + salt);
    Array made = like;
    normal()(made, random, {});
    for (double& element : made.data) element = static_cast<float>(element);
    return made;
  }
  Array seed(uint64_t salt) const {
    return random_like(a_case().oracle(inputs_).at(a_case().seeded), salt);
  }
  Tolerance gradient_tolerance() const {
    Tolerance tolerance = a_case().tolerance;
    tolerance.length = std::max(tolerance.length, tolerance.gradient_length);
    tolerance.a = 2 * tolerance.a + 8;  // and the error of the differences themselves
    tolerance.elementwise = false;
    return tolerance;
  }
  void check_outputs(const Built& built) const;
  void check_gradients(Built built) const;
};

void Mode::check_outputs(const Built& built) const {
  const Arrays got = execute(built), want = a_case().oracle(inputs_);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ("", difference(got[i], want[i], a_case().tolerance, "output " + std::to_string(i)));
  }
}

// Some of the elements of an array, all if they are few.
std::vector<int64_t> sample(const Array& array, Random& random) {
  constexpr int64_t kMost = 40;
  std::vector<int64_t> all(static_cast<size_t>(array.size()));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  std::ranges::shuffle(all, random);
  if (array.size() > kMost) all.resize(kMost);
  return all;
}

// d sum(seed * output) / d leaf[element], by central differences of the oracle.
double difference_quotient(const Case& a_case, Arrays inputs, size_t leaf, int64_t element,
                           const Array& seed) {
  const double h = 1e-5, at = inputs[leaf].at(element);
  const auto objective = [&](double value) {
    inputs[leaf].at(element) = value;
    const Array output = a_case.oracle(inputs).at(a_case.seeded);
    double sum = 0;
    for (int64_t i = 0; i < output.size(); ++i) sum += seed.at(i) * output.at(i);
    return sum;
  };
  return (objective(at + h) - objective(at - h)) / (2 * h);
}

void Mode::check_gradients(Built built) const {
  const Array dy = seed(1);
  const Value output = built.outputs.at(a_case().seeded);
  differentiate_outputs(built, {{output, dy}}, wrt(built));
  const Arrays gradients = execute(built);
  const std::vector<size_t> leaves = differentiable();
  Random random(7);
  for (size_t i = 0; i < leaves.size(); ++i) {
    const std::vector<int64_t> elements = sample(gradients[i], random);
    Array got = Array::zeros({static_cast<int64_t>(elements.size())}), want = got;
    for (size_t e = 0; e < elements.size(); ++e) {
      got.data[e] = gradients[i].at(elements[e]);
      want.data[e] = difference_quotient(a_case(), inputs_, leaves[i], elements[e], dy);
    }
    EXPECT_EQ("", difference(got, want, gradient_tolerance(),
                             "gradient of " + a_case().leaves[leaves[i]].name));
  }
}

using Cpu = Mode;
TEST_P(Cpu, MatchesTheOracle) { check_outputs(build(a_case(), inputs_)); }

using Gradient = Mode;
TEST_P(Gradient, MatchesCentralDifferences) { check_gradients(build(a_case(), inputs_)); }

// The leaves feed the case twice, with two seeds, and are seeded themselves: gradients add up.
using Accumulated = Mode;
TEST_P(Accumulated, SumsWhatArrives) {
  const Array first = seed(1), second = seed(2);
  Array both = first;
  for (int64_t i = 0; i < both.size(); ++i) {
    both.at(i) = static_cast<float>(first.at(i) + second.at(i));
  }
  Built once = build(a_case(), inputs_);
  differentiate_outputs(once, {{once.outputs.at(a_case().seeded), both}}, wrt(once));
  Arrays want = execute(once);

  Built twice = build(a_case(), inputs_);
  std::vector<Value> leaves;
  for (const Bound& leaf : twice.leaves) leaves.push_back(leaf.value);
  const Value again = a_case().build(twice.graph, leaves).at(a_case().seeded);
  std::vector<SeedOf> seeds{{twice.outputs.at(a_case().seeded), first}, {again, second}};
  const std::vector<size_t> indices = differentiable();
  for (size_t i = 0; i < indices.size(); ++i) {
    const Array own = random_like(inputs_[indices[i]], 3 + i);
    seeds.push_back({leaves[indices[i]], own});
    for (int64_t e = 0; e < own.size(); ++e) want[i].at(e) += own.at(e);
  }
  differentiate_outputs(twice, seeds, wrt(twice));
  const Arrays got = execute(twice);
  for (size_t i = 0; i < indices.size(); ++i) {
    EXPECT_EQ("", difference(got[i], want[i], gradient_tolerance(),
                             "gradient of " + a_case().leaves[indices[i]].name));
  }
}

using Fused = Mode;
TEST_P(Fused, DefinitionMatchesTheOracle) { check_outputs(build_expanded(a_case(), inputs_)); }
TEST_P(Fused, GradientOfTheDefinitionMatches) {
  if (has_gradient(a_case())) check_gradients(build_expanded(a_case(), inputs_));
}

using Blocked = Mode;
TEST_P(Blocked, MatchesTheOracle) { check_outputs(build_blocked(a_case(), inputs_)); }
TEST_P(Blocked, GradientMatches) {
  if (has_gradient(a_case())) check_gradients(build_blocked(a_case(), inputs_));
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
