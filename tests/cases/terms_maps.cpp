// Terms that compare maps place by place: hint, attention.
#include "cases/term_case.h"
#include "oracle/features.h"

namespace kd::test {
namespace {

Leaf student(Shape shape) { return trained(f32("student", shape)); }
Leaf teacher(Shape shape) { return f32("teacher", shape); }

Arrays value(double x) { return {Array::scalar(x)}; }

void add_hint(std::vector<Case>& cases) {
  const auto joined = [](const Arrays& in) {
    const Array& t = in[1];
    const bool maps = t.shape.size() == 4;
    const Array s = maps ? oracle::averaged_down(in[0], std::min(in[0].dim(1), t.dim(1)),
                                                 std::min(in[0].dim(2), t.dim(2)))
                         : in[0];
    const Array target = maps ? oracle::averaged_down(t, s.dim(1), s.dim(2)) : t;
    return value(oracle::mean_squared_difference(oracle::adapted(s, in[2], in[3]), target));
  };
  const auto hint = [&](const std::string& name, Shape s, Shape t) {
    const int64_t in = s[s.rank() - 1], out = t[t.rank() - 1];
    const Shape weight = s.rank() == 4 ? Shape{out, 1, 1, in} : Shape{out, in};
    cases.push_back(term_case({.name = name,
                               .term = "hint",
                               .layers = {student(s), teacher(t)},
                               .others = {trained(f32("term.hint.0.weight", weight)),
                                          trained(f32("term.hint.0.bias", {out}))},
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
    return value(sum);
  };
  cases.push_back(term_case({.name = "one_layer",
                             .term = "attention",
                             .layers = {student({3, 5, 3, 4}), teacher({3, 5, 3, 9})},
                             .oracle = apart}));
  Leaf second = student({3, 2, 2, 6}), other = teacher({3, 4, 4, 5});
  second.name = "student2";
  other.name = "teacher2";
  cases.push_back(
      term_case({.name = "two_layers",
                 .term = "attention",
                 .layers = {student({3, 5, 3, 4}), teacher({3, 5, 3, 9}), second, other},
                 .oracle = apart}));
}

}  // namespace

std::vector<Case> map_term_cases() {
  std::vector<Case> cases;
  add_hint(cases);
  add_attention(cases);
  return cases;
}

}  // namespace kd::test
