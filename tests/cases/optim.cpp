// sgd_update.
#include "oracle/optim.h"

#include "cases/case.h"
#include "kd/ops.h"

namespace kd::test {
namespace {

Case sgd_case(const std::string& name, int64_t n, const SgdAttrs& attrs) {
  Case made;
  made.name = "sgd_update_" + name;
  made.leaves = {state(f32("w", {n})), f32("g", {n}), state(f32("v", {n})),
                 f32("lr", {1}, constant(0.1))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    sgd_update(graph, in[0], in[1], in[2], in[3], attrs);
    return {};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    const oracle::SgdState made_state = oracle::sgd(
        {in[0], in[2]}, in[1],
        {in[3].at(0), attrs.momentum, attrs.weight_decay, attrs.nesterov, attrs.decay_elements});
    return {made_state.w, made_state.velocity};
  };
  return made;
}

}  // namespace

std::vector<Case> optim_cases() {
  return {
      sgd_case("plain", 17, {.momentum = 0}),
      sgd_case("momentum", 1000, {.momentum = 0.9}),
      sgd_case("nesterov", 33, {.momentum = 0.9, .nesterov = true}),
      sgd_case("decay_all", 100, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 100}),
      sgd_case("decay_some", 101,
               {.momentum = 0.5, .weight_decay = 0.1, .nesterov = true, .decay_elements = 37}),
      sgd_case("decay_none", 16, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 0}),
      sgd_case("one_element", 1, {.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 1}),
  };
}

}  // namespace kd::test
