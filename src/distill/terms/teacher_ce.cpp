#include "distill/terms/terms.h"
#include "kd/term_ops.h"

namespace kd {
namespace {

Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  const int64_t classes = graph.shape(in.teacher)[1];
  const Value target = attrs.teacher_target == TeacherTarget::softmax
                           ? softmax(graph, in.teacher)
                           : one_hot(graph, arg_max(graph, in.teacher), classes);
  const Value crossed = mul(graph, target, log_softmax(graph, in.student));
  return affine(graph, batch_mean_of_row_sums(graph, crossed), -1);
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.teacher_target = param_or(params, term_teacher_ce, "soft") != 0 ? TeacherTarget::softmax
                                                                        : TeacherTarget::likeliest;
}

}  // namespace

const TermDef term_teacher_ce{
    "teacher_ce",
    "mean_i CE(argmax t_i, softmax(s_i)), of equal logits the first; soft: CE(softmax(t_i), "
    "softmax(s_i)) (hard distillation of Touvron et al. 2021; no labels needed)",
    LossTerm::teacher_ce,
    true,
    false,
    {{"soft", 0, 0, 1, "1: the teacher's softmax instead of its likeliest class"}},
    define,
    configure};

}  // namespace kd
