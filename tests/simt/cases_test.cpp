// The case table on the CUDA engine's kernels, run on the host: f32 in three random orders of
// blocks, warps and lanes, and both 16-bit types.
#include <gtest/gtest.h>

#include "cases/checks.h"
#include "kernels/kd_cuda.h"
#include "simt/backend.h"

namespace kd::test {
namespace {

Backend& engine() {
  static const std::unique_ptr<Backend> backend = make_simt_backend();
  return *backend;
}

std::string name_of_case(const testing::TestParamInfo<CaseOf>& info) {
  return info.param.a_case->name;
}

class Simt : public testing::TestWithParam<CaseOf> {
 protected:
  void check(const Case& a_case) {
    const Built built = build(a_case, contents(a_case));
    ASSERT_TRUE(runs_on(built, engine())) << "not all of its ops have kernels";
    EXPECT_EQ("", check_outputs(a_case, built, engine()));
    if (!has_gradient(a_case)) return;
    EXPECT_EQ("", check_gradients(a_case, built, engine()));
  }
};

TEST_P(Simt, MatchesTheOracle) {
  for (const uint64_t order : {1, 2, 3}) {
    simt::seed(order);
    check(*GetParam().a_case);
  }
}
TEST_P(Simt, MatchesTheOracleInF16) {
  if (!GetParam().a_case->f32_only) check(lowered(*GetParam().a_case, DType::f16));
}
TEST_P(Simt, MatchesTheOracleInBf16) {
  if (!GetParam().a_case->f32_only) check(lowered(*GetParam().a_case, DType::bf16));
}

bool always(const Case&) { return true; }
INSTANTIATE_TEST_SUITE_P(Cases, Simt, testing::ValuesIn(cases_where(always)), name_of_case);

}  // namespace
}  // namespace kd::test
