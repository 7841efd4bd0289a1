#include "cases/checks.h"

#include <algorithm>
#include <ostream>

namespace kd::test {
namespace {

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

std::vector<Value> wrt(const Case& a_case, const Built& built) {
  std::vector<Value> values;
  for (const size_t i : differentiable(a_case)) values.push_back(built.leaves[i].value);
  return values;
}

}  // namespace

void PrintTo(const CaseOf& of, std::ostream* out) { *out << of.a_case->name; }

std::vector<CaseOf> cases_where(const std::function<bool(const Case&)>& wanted) {
  std::vector<CaseOf> chosen;
  for (const Case& a_case : all_cases()) {
    if (wanted(a_case)) chosen.push_back({&a_case});
  }
  return chosen;
}

std::vector<size_t> differentiable(const Case& a_case) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < a_case.leaves.size(); ++i) {
    if (a_case.leaves[i].differentiable) indices.push_back(i);
  }
  return indices;
}

Array random_seed(const Case& a_case, uint64_t salt) {
  Random random(std::hash<std::string>()(a_case.name) + salt);
  Array made = a_case.oracle(contents(a_case)).at(a_case.seeded);
  normal()(made, random, {});
  for (double& element : made.data) element = rounded(a_case.tolerance.dtype, element);
  return made;
}

Tolerance gradient_tolerance(const Case& a_case) {
  Tolerance tolerance = a_case.tolerance;
  tolerance.length = std::max(tolerance.length, tolerance.gradient_length);
  tolerance.a = 2 * tolerance.a + 8;                  // and the error of the differences themselves
  tolerance.roundings = 4 * tolerance.roundings + 2;  // of every value on the way back
  tolerance.elementwise = false;
  return tolerance;
}

std::string check_outputs(const Case& a_case, const Built& built, Backend& backend) {
  const Arrays got = execute(built, backend), want = a_case.oracle(contents(a_case));
  if (got.size() != want.size()) return "the oracle has another number of outputs";
  std::string wrong;
  for (size_t i = 0; i < got.size(); ++i) {
    wrong += difference(got[i], want[i], a_case.tolerance, "output " + std::to_string(i));
  }
  return wrong;
}

std::string check_gradients(const Case& a_case, Built built, Backend& backend) {
  const Arrays inputs = contents(a_case);
  const Array dy = random_seed(a_case, 1);
  const Value output = built.outputs.at(a_case.seeded);
  differentiate_outputs(built, {{output, dy}}, wrt(a_case, built));
  const Arrays gradients = execute(built, backend);
  const std::vector<size_t> leaves = differentiable(a_case);
  Random random(7);
  std::string wrong;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const std::vector<int64_t> elements = sample(gradients[i], random);
    Array got = Array::zeros({static_cast<int64_t>(elements.size())}), want = got;
    for (size_t e = 0; e < elements.size(); ++e) {
      got.data[e] = gradients[i].at(elements[e]);
      want.data[e] = difference_quotient(a_case, inputs, leaves[i], elements[e], dy);
    }
    wrong += difference(got, want, gradient_tolerance(a_case),
                        "gradient of " + a_case.leaves[leaves[i]].name);
  }
  return wrong;
}

}  // namespace kd::test
