#include "cases/term_case.h"

#include "kd/term_graph.h"

namespace kd::test {
namespace {

TermGraph::Parts parts_of(const Graph& graph, const TermCase& t, const std::vector<Value>& leaves) {
  const auto by_name = [&](std::string_view name) { return graph.find(name); };
  TermGraph::Parts parts{by_name("student_logits"),
                         by_name("teacher_logits"),
                         by_name("labels"),
                         by_name("ids"),
                         by_name("key"),
                         by_name("all_labels"),
                         t.population,
                         {}};
  parts.peer_logits = by_name("peer_logits");
  parts.partner_labels = by_name("partner_labels");
  parts.shares = by_name("shares");
  const bool taught = term(t.term).needs_teacher;
  const size_t each = taught ? 2 : 1;
  for (size_t i = 0; i + each <= t.layers.size(); i += each) {
    parts.taps.push_back({leaves[i], taught ? leaves[i + 1] : Value{}, std::to_string(i / each)});
  }
  // The batch is read off the logits; a term over layers alone may do without.
  if (!parts.student_logits && !parts.taps.empty()) parts.student_logits = parts.taps[0].student;
  return parts;
}

}  // namespace

Case term_case(const TermCase& t) {
  Case made;
  made.name = "term_" + t.term + "_" + t.name;
  made.term = t.term;
  made.leaves = t.layers;
  made.leaves.insert(made.leaves.end(), t.others.begin(), t.others.end());
  made.build = [t](Graph& graph, const std::vector<Value>& leaves) -> std::vector<Value> {
    const TermDef& def = term(t.term);
    TermSpec spec = t.spec;
    spec.name = t.term;
    TermGraph builder(graph, def, spec, parts_of(graph, t, leaves));
    return {def.build(builder)};
  };
  made.oracle = t.oracle;
  made.tolerance = t.tolerance;
  made.f32_only = true;  // terms get f32, whatever the student computes in
  return made;
}

Leaf student_layer(Shape shape, const std::string& suffix, Fill fill) {
  return trained(f32("student" + suffix, shape, std::move(fill)));
}
Leaf teacher_layer(Shape shape, const std::string& suffix, Fill fill) {
  return f32("teacher" + suffix, shape, std::move(fill));
}
std::vector<Leaf> trained_layer(const std::string& name, Shape weight) {
  return {trained(f32("term." + name + ".weight", weight)),
          trained(f32("term." + name + ".bias", {weight[0]}))};
}
Arrays scalar(double value) { return {Array::scalar(value)}; }

}  // namespace kd::test
