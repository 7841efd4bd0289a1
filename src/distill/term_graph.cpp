#include "kd/term_graph.h"

#include <algorithm>

#include "distill/terms/terms.h"
#include "kd/error.h"

namespace kd {
namespace {

// Averages windows so that an (N, H, W, C) map becomes (N, height, width, C).
Value averaged(Graph& graph, Value x, int64_t height, int64_t width, const std::string& name) {
  const Shape shape = graph.shape(x);
  if (shape[1] == height && shape[2] == width) return x;
  const int down = static_cast<int>(shape[1] / height), right = static_cast<int>(shape[2] / width);
  PoolAttrs attrs;
  attrs.window = attrs.stride = {down, right};
  return avg_pool(graph, x, attrs, name);
}

}  // namespace

double TermGraph::param(std::string_view name) const { return param_or(spec_.params, def_, name); }

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
  return {averaged(graph_, pair.student, height, width, full(pair.name)),
          averaged(graph_, pair.teacher, height, width, full(pair.name)), pair.name};
}

Features TermGraph::adapted(const Features& pair, bool always) {
  Features same = same_size(pair);
  const Shape s = graph_.shape(same.student), t = graph_.shape(same.teacher);
  const int last = s.rank() - 1;
  if (!always && s[last] == t[last]) return same;
  const Value bias = parameter(pair.name + ".bias", {t[last]});
  if (s.rank() == 4) {
    const Value w = parameter(pair.name + ".weight", {t[3], 1, 1, s[3]});
    same.student = add(graph_, conv2d(graph_, same.student, w, {}, full(pair.name)), bias);
  } else {
    const Value w = parameter(pair.name + ".weight", {t[1], s[1]});
    same.student = linear(graph_, same.student, w, bias, full(pair.name));
  }
  adapters_.push_back(format("{}: {} {} -> {}", full(pair.name),
                             s.rank() == 4 ? "1x1 convolution" : "linear", s, t));
  return same;
}

Value TermGraph::rows(Value x) { return graph_.shape(x).rank() == 2 ? x : flatten(graph_, x); }

}  // namespace kd
