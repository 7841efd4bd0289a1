#include "kd/term_graph.h"

#include <algorithm>

#include "distill/terms/maps.h"
#include "distill/terms/terms.h"
#include "kd/error.h"

namespace kd {

double TermGraph::param(std::string_view name) const { return param_or(spec_.params, def_, name); }

Value TermGraph::targets() {
  return label_rows(graph_,
                    {.student = parts_.student_logits,
                     .labels = parts_.labels,
                     .partner_labels = parts_.partner_labels,
                     .shares = parts_.shares},
                    0);
}

std::string TermGraph::full(const std::string& name) const {
  return "term." + std::string(def_.name) + "." + name;
}

Value TermGraph::parameter(const std::string& name, const Shape& shape) {
  const std::string whole = full(name);
  if (const Value known = graph_.find(whole)) return known;
  return graph_.parameter(whole, {DType::f32, shape});
}

Value TermGraph::parameter(const std::string& name, const Shape& shape, double value) {
  const Tensor start = Tensor::host({DType::f32, shape});
  std::fill_n(start.as<float>(), start.elements(), static_cast<float>(value));
  initial_[full(name)] = start;
  return parameter(name, shape);
}

Value TermGraph::state(const std::string& name, const Tensor& initial) {
  const std::string whole = full(name);
  initial_[whole] = initial;
  if (const Value known = graph_.find(whole)) return known;
  return graph_.state(whole, initial.desc());
}

Features TermGraph::same_size(const Features& pair) {
  const Shape s = graph_.shape(pair.student), t = graph_.shape(pair.teacher);
  KD_CHECK(s.rank() == t.rank(), "loss term '{}': no adapter joins the layers {}: {} and {}",
           def_.name, pair.name, s, t);
  if (s.rank() != 4) return pair;
  const int64_t height = std::min(s[1], t[1]), width = std::min(s[2], t[2]);
  const bool divides =
      s[1] % height == 0 && t[1] % height == 0 && s[2] % width == 0 && t[2] % width == 0;
  if (!divides) {
    fail(ErrorCode::usage,
         "loss term '{}': no adapter joins the layers {}: the student's map is {}, the teacher's "
         "{}, and neither size divides the other",
         def_.name, pair.name, s, t);
  }
  return {averaged_to(graph_, pair.student, height, width, full(pair.name)),
          averaged_to(graph_, pair.teacher, height, width, full(pair.name)), pair.name};
}

void TermGraph::expect_maps(const Features& pair) const {
  for (const Value v : {pair.student, pair.teacher}) {
    if (graph_.shape(v).rank() == 4) continue;
    fail(ErrorCode::usage, "loss term '{}': the layers {} are {} and {}, expected (N, H, W, C)",
         def_.name, pair.name, graph_.shape(pair.student), graph_.shape(pair.teacher));
  }
}

Value TermGraph::layer(const std::string& name, Value x, int64_t width, int window) {
  const Shape from = graph_.shape(x);
  const Value bias = parameter(name + ".bias", {width});
  std::string kind = "linear";
  Value y;
  if (from.rank() == 4) {
    const Value w = parameter(name + ".weight", {width, window, window, from[3]});
    Conv2dAttrs attrs;
    attrs.pad.fill(window / 2);
    y = add(graph_, conv2d(graph_, x, w, attrs, full(name)), bias);
    kind = format("{}x{} convolution", window, window);
  } else {
    const Value w = parameter(name + ".weight", {width, from[1]});
    y = linear(graph_, x, w, bias, full(name));
  }
  adapters_.push_back(format("{}: {} {} -> {}", full(name), kind, from, graph_.shape(y)));
  return y;
}

Features TermGraph::adapted(const Features& pair, bool always) {
  Features same = same_size(pair);
  const Shape s = graph_.shape(same.student), t = graph_.shape(same.teacher);
  const int last = s.rank() - 1;
  if (always || s[last] != t[last]) same.student = layer(pair.name, same.student, t[last]);
  return same;
}

Value TermGraph::rows(Value x) { return graph_.shape(x).rank() == 2 ? x : flatten(graph_, x); }

}  // namespace kd
