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

// Each row divided by its sum: (N, K) -> (N, K).
Value normalised_rows(Graph& graph, Value x);

// L2 norms over the axes that are 1 in `norms`, sqrt(sum x^2 + 1e-12): finite gradients at x = 0.
Value lengths_along(Graph& graph, Value x, const Shape& norms);
// x divided by them; each row by its own: (N, D) -> (N, D).
Value unit_along(Graph& graph, Value x, const Shape& norms);
Value unit_rows(Graph& graph, Value x);

// The parameter's value, or its fallback in the schema.
double param_or(const std::map<std::string, double>& params, const TermDef& term,
                std::string_view name);

}  // namespace kd
