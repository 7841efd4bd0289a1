#include "distill/gradient_penalty.h"

#include "kd/error.h"
#include "kd/term_ops.h"

namespace kd {
namespace {

// d loss / d parameters of the student at other pictures.
std::vector<Value> gradients_at(Graph& graph, const Penalty& p, Value pictures,
                                const std::vector<Value>& parameters, const std::string& name) {
  const ModelGraph again = instantiate(p.student, p.stage.batch_size, Mode::training, p.how);
  const auto leaf = [&](Graph& to, const ValueInfo& value) {
    if (value.role == Role::state) return to.state(name + value.name, value.desc);
    const Value known = to.find(value.name);
    return known ? known : to.leaf(value.role, value.name, value.desc);
  };
  const Value logits = splice(graph, again.graph, std::vector<Value>{again.logits},
                              {.known = {{again.input, pictures}}, .leaf = leaf})[0];
  DistillLossInputs inputs = p.loss;
  inputs.student = logits;
  const DistillLoss loss = distill_loss(graph, inputs, p.attrs, name + "loss");
  return differentiate(graph, std::vector<Seed>{{logits, loss.dlogits}}, parameters);
}

}  // namespace

Value add_gradient_penalty(Graph& graph, const Penalty& p, const std::vector<Value>& parameters,
                           std::vector<Value>& gradients) {
  const double batch = static_cast<double>(p.stage.batch_size),
               elements = static_cast<double>(graph.shape(p.input).elements());
  const Value v = affine(graph, p.input_gradient, batch);  // of each picture's own loss
  const Value squares = sum_to(graph, mul(graph, v, v), {});
  // 1 / rms(v); where there is no gradient the passes are alike and their difference is 0.
  const Value rms = sqrt(graph, affine(graph, squares, 1 / elements, 1e-30));
  const Value step = div(graph, fill(graph, {}, 0.01), rms);
  const Value along = stop_gradient(graph, mul(graph, v, step));  // a place, no function of w
  const std::vector<Value> ahead =
      gradients_at(graph, p, add(graph, p.input, along), parameters, "penalty.ahead.");
  const std::vector<Value> behind =
      gradients_at(graph, p, sub(graph, p.input, along), parameters, "penalty.behind.");
  const Value factor =
      div(graph, fill(graph, {}, p.stage.gradient_penalty / 2), step);  // weight / (2 e)
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Value part = mul(graph, sub(graph, ahead[i], behind[i]), factor);
    gradients[i] = add(graph, gradients[i], part);
  }
  return affine(graph, squares, p.stage.gradient_penalty / (2 * batch));
}

}  // namespace kd
