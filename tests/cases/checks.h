// What every engine's tests do with a case: outputs against the oracle, gradients against central
// differences of the oracle. Both return an empty string, or a sentence about what is wrong.
#pragma once

#include <string>
#include <vector>

#include "cases/execute.h"

namespace kd::test {

std::string check_outputs(const Case& a_case, const Built& built, Backend& backend);
std::string check_gradients(const Case& a_case, Built built, Backend& backend);

// Places of the leaves whose gradient is checked, and a gradient of the seeded output.
std::vector<size_t> differentiable(const Case& a_case);
Array random_seed(const Case& a_case, uint64_t salt);
Tolerance gradient_tolerance(const Case& a_case);

// The cases of the table that an engine's test is instantiated for, by name.
struct CaseOf {
  const Case* a_case;
};
void PrintTo(const CaseOf& of, std::ostream* out);
std::vector<CaseOf> cases_where(const std::function<bool(const Case&)>& wanted);

}  // namespace kd::test
