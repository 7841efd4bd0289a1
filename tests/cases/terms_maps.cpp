// Terms that compare maps place by place: hint, attention; and those of the files beside this.
#include "cases/term_case.h"
#include "oracle/features.h"

namespace kd::test {
namespace {

void add_hint(std::vector<Case>& cases) {
  const auto joined = [](const Arrays& in) {
    const Array& t = in[1];
    const bool maps = t.shape.size() == 4;
    const Array s = maps ? oracle::averaged_down(in[0], std::min(in[0].dim(1), t.dim(1)),
                                                 std::min(in[0].dim(2), t.dim(2)))
                         : in[0];
    const Array target = maps ? oracle::averaged_down(t, s.dim(1), s.dim(2)) : t;
    return scalar(oracle::mean_squared_difference(oracle::adapted(s, in[2], in[3]), target));
  };
  const auto hint = [&](const std::string& name, Shape s, Shape t) {
    const int64_t in = s[s.rank() - 1], out = t[t.rank() - 1];
    const Shape weight = s.rank() == 4 ? Shape{out, 1, 1, in} : Shape{out, in};
    cases.push_back(term_case({.name = name,
                               .term = "hint",
                               .layers = {student_layer(s), teacher_layer(t)},
                               .others = trained_layer("hint.0", weight),
                               .oracle = joined}));
  };
  hint("same_size", {3, 5, 5, 4}, {3, 5, 5, 7});
  hint("larger_student", {2, 6, 4, 3}, {2, 3, 2, 3});
  hint("larger_teacher", {2, 3, 2, 5}, {2, 9, 6, 4});
  hint("rows", {5, 6}, {5, 9});
}

void add_attention(std::vector<Case>& cases) {
  const auto apart = [](const Arrays& in) {
    double sum = 0;
    for (size_t i = 0; i + 1 < in.size(); i += 2) {
      const int64_t height = std::min(in[i].dim(1), in[i + 1].dim(1)),
                    width = std::min(in[i].dim(2), in[i + 1].dim(2));
      sum += oracle::mean_squared_difference(
          oracle::attention_map(oracle::averaged_down(in[i], height, width)),
          oracle::attention_map(oracle::averaged_down(in[i + 1], height, width)));
    }
    return scalar(sum);
  };
  cases.push_back(term_case({.name = "one_layer",
                             .term = "attention",
                             .layers = {student_layer({3, 5, 3, 4}), teacher_layer({3, 5, 3, 9})},
                             .oracle = apart}));
  cases.push_back(
      term_case({.name = "two_layers",
                 .term = "attention",
                 .layers = {student_layer({3, 5, 3, 4}), teacher_layer({3, 5, 3, 9}),
                            student_layer({3, 2, 2, 6}, "2"), teacher_layer({3, 4, 4, 5}, "2")},
                 .oracle = apart}));
}

}  // namespace

std::vector<Case> map_term_cases() {
  std::vector<Case> cases;
  add_hint(cases);
  add_attention(cases);
  for (const auto& more : {connector_term_cases(), stage_term_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  return cases;
}

}  // namespace kd::test
