#include "distill/module_replacement.h"

#include <algorithm>

#include "distill/terms/maps.h"
#include "kd/error.h"
#include "kd/layers.h"
#include "kd/passes.h"
#include "kd/random.h"

namespace kd {
namespace {

// One of the two networks, copied into the mixed graph module by module.
struct Side {
  const Graph& graph;
  std::vector<Value> cuts;  // the input, the ends of the modules
  std::string prefix;       // of its leaves' names
  Value now = {};           // what its next module reads, in the mixed graph

  Value next_module(Graph& to, size_t module) const {
    Splice how{.known = {{cuts[module], now}}};
    how.leaf = [&](Graph& made, const ValueInfo& value) {
      const std::string name = prefix + value.name;
      const Value known = made.find(name);  // weights that modules share
      return known ? known : made.leaf(value.role, name, value.desc);
    };
    return splice(to, graph, std::vector<Value>{cuts[module + 1]}, how)[0];
  }
};

class Mixer {
 public:
  Mixer(Side student, Side teacher, DType dtype)
      : student_(std::move(student)), teacher_(std::move(teacher)), dtype_(dtype) {}

  ModuleReplacement mix(const TensorDesc& input) {
    Graph& graph = made_.mixed.graph;
    made_.mixed.input = student_.now = teacher_.now = graph.input("input", input);
    for (size_t i = 0; i + 1 < student_.cuts.size(); ++i) mix_module(i);
    made_.mixed.logits = student_.now;
    return std::move(made_);
  }

 private:
  void mix_module(size_t i) {
    Graph& graph = made_.mixed.graph;
    const Value z = graph.input(format("replaced.{}", i), {DType::f32, {}});
    made_.replaced.push_back(z);
    const Value s = student_.next_module(graph, i), t = teacher_.next_module(graph, i);
    student_.now = choose(z, s, fitted(t, graph.shape(s), format("term.replace.{}.down", i)));
    const bool alike = graph.shape(s) == graph.shape(t);
    teacher_.now = alike ? student_.now
                         : choose(z, fitted(s, graph.shape(t), format("term.replace.{}.up", i)), t);
  }

  // z a + (1 - z) b
  Value choose(Value z, Value a, Value b) {
    Graph& graph = made_.mixed.graph;
    const DType dtype = graph.desc(a).dtype;
    if (dtype != DType::f32) z = cast(graph, z, dtype);
    return add(graph, mul(graph, z, a), mul(graph, affine(graph, z, -1, 1), b));
  }

  // x with the size and the width of `shape`.
  Value fitted(Value x, const Shape& shape, const std::string& name) {
    Graph& graph = made_.mixed.graph;
    const Shape from = graph.shape(x);
    if (from == shape) return x;
    const bool larger = from[1] > shape[1] || from[2] > shape[2];
    if (larger) x = averaged_to(graph, x, shape[1], shape[2], name);
    if (from[3] != shape[3]) {
      const Value w = graph.parameter(name + ".weight", {dtype_, {shape[3], 1, 1, from[3]}});
      x = conv2d(graph, x, w, {}, name);
      made_.adapters.push_back(format("{}: 1x1 convolution {} -> {}", name, from, shape));
    }
    return larger ? x : repeated(graph, x, shape[1] / from[1], shape[2] / from[2]);
  }

  Side student_, teacher_;
  DType dtype_;
  ModuleReplacement made_;
};

bool one_divides_the_other(const Shape& a, const Shape& b) {
  const auto covers = [](const Shape& large, const Shape& small) {
    return large[1] % small[1] == 0 && large[2] % small[2] == 0;
  };
  return covers(a, b) || covers(b, a);
}

// Its input, the last `count` of its taps, its logits.
std::vector<Value> cuts_of(const ModelGraph& made, size_t count) {
  std::vector<Value> cuts{made.input};
  cuts.insert(cuts.end(), made.taps.end() - static_cast<std::ptrdiff_t>(count), made.taps.end());
  cuts.push_back(made.logits);
  return cuts;
}

void check(const Model& student, const Model& teacher, size_t shared) {
  const auto refuse = [&](const std::string& why) {
    fail(ErrorCode::usage, "module replacement: {} ({}) and {} ({}) {}", student.name, "student",
         teacher.name, "teacher", why);
  };
  if (shared == 0) refuse("share no stage");
  if (student.classes() != teacher.classes()) refuse("have different numbers of classes");
  const bool same_pictures =
      student.preprocess == teacher.preprocess &&
      student.graph.shape(student.input) == teacher.graph.shape(teacher.input);
  if (!same_pictures) refuse("take different pictures: sizes, colours, mean and std must agree");
}

}  // namespace

double replacement_probability(const StageConfig& stage, int64_t step, int64_t steps) {
  if (step + 1 >= steps) return stage.replace_to;
  const double done = static_cast<double>(step) / static_cast<double>(steps - 1);
  return stage.replace_from + (stage.replace_to - stage.replace_from) * done;
}

bool is_replaced(uint64_t seed, int64_t step, int64_t module, double probability) {
  const auto words = random_words(seed, Purpose::replace, static_cast<uint32_t>(step),
                                  static_cast<uint64_t>(module), 0);
  return uniform01(words[0]) < probability;
}

ModuleReplacement replace_modules(const Model& student, const ModelGraph& training,
                                  const Model& teacher) {
  const std::vector<Value> theirs = stage_outputs(teacher);
  const size_t shared = std::min(training.taps.size(), theirs.size());
  check(student, teacher, shared);
  const TensorDesc input = training.graph.desc(training.input);
  const ModelGraph predecessor = lower_precision(
      instantiate(teacher, input.shape[0], Mode::inference, {.taps = theirs}), input.dtype);
  const Side s{training.graph, cuts_of(training, shared), ""};
  const Side t{predecessor.graph, cuts_of(predecessor, shared), std::string(kPredecessor)};
  for (size_t i = 1; i + 1 < s.cuts.size(); ++i) {
    const Shape &a = s.graph.shape(s.cuts[i]), &b = t.graph.shape(t.cuts[i]);
    if (one_divides_the_other(a, b)) continue;
    fail(ErrorCode::usage,
         "module replacement: after module {} the student's map is {}, the teacher's {}, and "
         "neither size divides the other",
         i, a, b);
  }
  ModuleReplacement made = Mixer(s, t, input.dtype).mix(input);
  for (const auto& [name, tensor] : teacher.tensors) {
    const std::string whole = std::string(kPredecessor) + name;
    if (made.mixed.graph.find(whole)) made.initial[whole] = tensor;
  }
  return made;
}

}  // namespace kd
