#include "distill/terms/terms.h"
#include "kd/error.h"
#include "kd/term_ops.h"

namespace kd {
namespace {

Value define(Graph& graph, const DistillLossInputs& in, const DistillLossAttrs& attrs) {
  const Shape shape = graph.shape(in.student);
  const auto likeliest = [&](Value logits, double weight) {
    const Value choice = one_hot(graph, arg_max(graph, logits), shape[1]);
    return affine(graph, stop_gradient(graph, choice), weight);
  };
  const Value wanted = label_rows(graph, in, 0);
  const Value labelled = sum_to(graph, wanted, {shape[0], 1});  // 0 where there is no label
  const Value others = add(graph, likeliest(in.teacher, attrs.mix_teacher),
                           likeliest(in.student, 1 - attrs.mix_label - attrs.mix_teacher));
  const Value target =
      add(graph, affine(graph, wanted, attrs.mix_label), mul(graph, others, labelled));
  const Value crossed = mul(graph, target, log_softmax(graph, in.student));
  return affine(graph, batch_mean_of_row_sums(graph, crossed), -1);
}

void configure(DistillLossAttrs& attrs, const std::map<std::string, double>& params) {
  attrs.mix_label = param_or(params, term_hard_mix, "a");
  attrs.mix_teacher = param_or(params, term_hard_mix, "b");
  if (attrs.mix_label + attrs.mix_teacher > 1) {
    fail(ErrorCode::usage, "loss term 'hard_mix': a + b is {}, expected at most 1",
         attrs.mix_label + attrs.mix_teacher);
  }
}

}  // namespace

const TermDef term_hard_mix{
    "hard_mix",
    "-mean_i a log p_y + b log p_argmax(t) + (1-a-b) log p_argmax(s), p = softmax(s_i); no "
    "gradient "
    "through the choices; a row without a label adds 0 (mixed hard targets of label, teacher and "
    "student)",
    LossTerm::hard_mix,
    true,
    true,
    {{"a", 0.5, 0, 1, "share of the label"}, {"b", 0.3, 0, 1, "share of the teacher's choice"}},
    define,
    configure};

}  // namespace kd
