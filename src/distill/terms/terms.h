// Declares every term of terms.def, and what their definitions share.
#pragma once

#include "kd/objective.h"
#include "kd/term_ops.h"

namespace kd {

#define KD_TERM(name) extern const TermDef term_##name;
#include "distill/terms/terms.def"
#undef KD_TERM

// mean over the batch of the sum over classes: (N, K) -> scalar.
Value batch_mean_of_row_sums(Graph& graph, Value x);

// Each row divided by its sum, or less its mean: (N, K) -> (N, K).
Value normalised_rows(Graph& graph, Value x);
Value centred_rows(Graph& graph, Value x);
// Less its means over the axes that are 1 in `means`.
Value centred_along(Graph& graph, Value x, const Shape& means);

// What label terms want: one_hot(labels), of mixed pictures share one_hot(labels) + (1 - share)
// one_hot(partners); 0 where there is no label. (N, K).
Value label_rows(Graph& graph, const DistillLossInputs& in, double smoothing);

// -mean_i sum_k targets log softmax(logits): both (N, K).
Value cross_entropy(Graph& graph, Value logits, Value targets);

// mean_i sum_k p (log p - log q) of p = exp(log_p): by logarithms, so that p = 0 adds nothing.
Value divergence(Graph& graph, Value log_p, Value log_q);

// T^2 mean_i KL(softmax(t_i / T) || softmax(s_i / T)).
Value softened_divergence(Graph& graph, Value student, Value teacher, double temperature);

// L2 norms over the axes that are 1 in `norms`, sqrt(sum x^2 + 1e-12): finite gradients at x = 0.
Value lengths_along(Graph& graph, Value x, const Shape& norms);
// x divided by them; each row by its own: (N, D) -> (N, D).
Value unit_along(Graph& graph, Value x, const Shape& norms);
Value unit_rows(Graph& graph, Value x);

// The parameter's value, or its fallback in the schema.
double param_or(const std::map<std::string, double>& params, const TermDef& term,
                std::string_view name);

}  // namespace kd
