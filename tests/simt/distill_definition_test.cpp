// The fused loss's definition in base ops where logits are stored in 16 bits: it computes in f32.
#include <gtest/gtest.h>

#include "cases/checks.h"
#include "simt/backend.h"

namespace kd::test {
namespace {

bool is_loss(const Case& a_case) {
  return a_case.name == "distill_loss_rows_100" || a_case.name == "distill_loss_pairs_100" ||
         a_case.name == "distill_loss_mixed_term_weights_of_pairs";
}

class DistillDefinition : public testing::TestWithParam<CaseOf> {};

TEST_P(DistillDefinition, MatchesTheOracleIn16Bits) {
  const auto engine = make_simt_backend();
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const Case a_case = lowered(*GetParam().a_case, dtype);
    const Built built = build_expanded(a_case, contents(a_case));
    ASSERT_TRUE(runs_on(built, *engine));
    EXPECT_EQ("", check_outputs(a_case, built, *engine));
    EXPECT_EQ("", check_gradients(a_case, built, *engine));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, DistillDefinition, testing::ValuesIn(cases_where(is_loss)),
                         [](const auto& of) { return of.param.a_case->name; });

}  // namespace
}  // namespace kd::test
