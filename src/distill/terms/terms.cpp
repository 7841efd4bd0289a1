// What the terms' definitions share.
#include "distill/terms/terms.h"

#include "distill/terms/maps.h"

namespace kd {

Value batch_mean_of_row_sums(Graph& graph, Value x) {
  const double batch = static_cast<double>(graph.shape(x)[0]);
  return affine(graph, sum_to(graph, x, {}), 1 / batch);
}

Value normalised_rows(Graph& graph, Value x) {
  const Shape sums{graph.shape(x)[0], 1};
  return div(graph, x, sum_to(graph, x, sums));
}

Value lengths_along(Graph& graph, Value x, const Shape& norms) {
  return sqrt(graph, affine(graph, sum_to(graph, mul(graph, x, x), norms), 1, 1e-12));
}

Value unit_along(Graph& graph, Value x, const Shape& norms) {
  return div(graph, x, lengths_along(graph, x, norms));
}

Value unit_rows(Graph& graph, Value x) { return unit_along(graph, x, {graph.shape(x)[0], 1}); }

Value centred_along(Graph& graph, Value x, const Shape& means) {
  const double share =
      static_cast<double>(means.elements()) / static_cast<double>(graph.shape(x).elements());
  return sub(graph, x, affine(graph, sum_to(graph, x, means), share));
}

Value centred_rows(Graph& graph, Value x) {
  return centred_along(graph, x, {graph.shape(x)[0], 1});
}

Value label_rows(Graph& graph, const DistillLossInputs& in, double smoothing) {
  const Shape shape = graph.shape(in.student);
  const Value own = one_hot(graph, in.labels, shape[1], smoothing);
  if (!in.partner_labels) return own;
  const Value partner = one_hot(graph, in.partner_labels, shape[1], smoothing);
  const Value share = reshape(graph, in.shares, {shape[0], 1});
  return add(graph, mul(graph, own, share), mul(graph, partner, affine(graph, share, -1, 1)));
}

Value cross_entropy(Graph& graph, Value logits, Value targets) {
  const Value crossed = mul(graph, log_softmax(graph, logits), targets);
  return affine(graph, batch_mean_of_row_sums(graph, crossed), -1);
}

Value divergence(Graph& graph, Value log_p, Value log_q) {
  const Value terms = mul(graph, exp(graph, log_p), sub(graph, log_p, log_q));
  return batch_mean_of_row_sums(graph, terms);
}

Value softened_divergence(Graph& graph, Value student, Value teacher, double temperature) {
  const Value log_s = log_softmax(graph, student, temperature);
  const Value log_t = log_softmax(graph, teacher, temperature);
  return affine(graph, divergence(graph, log_t, log_s), temperature * temperature);
}

}  // namespace kd
