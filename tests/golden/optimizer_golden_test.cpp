// Three steps of every optimiser on four numbers, worked out in float64 from the published
// formulas.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "kd/backend.h"
#include "kd/error.h"
#include "kd/optimizer_ops.h"
#include "kd/program.h"

namespace kd {
namespace {

using Numbers = std::vector<float>;
using Steps = std::vector<Numbers>;  // the weights after each

const Numbers kWeights{1, -2, 0.5f, 0};
const Steps kGradients{{0.5f, -1, 0.25f, 2}, {-0.25f, 0.5f, 1, -2}, {1, 0, -0.5f, 0.5f}};

struct Job {
  OptimizerAttrs attrs;
  float lr = 0.1f;
  Numbers start = {}, lr_scale = {};  // empty: there are none
  std::vector<int32_t> segments = {};
};

// A small program and what it starts from.
class Sandbox {
 public:
  Value leaf(Role role, const std::string& name, DType dtype, int64_t count) {
    return graph_.leaf(role, name, {dtype, {count}});
  }
  Value numbers(Role role, const std::string& name, const Numbers& values) {
    const Value v = leaf(role, name, DType::f32, static_cast<int64_t>(values.size()));
    initial_.emplace_back(v, values);
    return v;
  }
  Graph& graph() { return graph_; }
  Program& compiled() {
    program_.emplace(compile(graph_, *backend_, {}));
    for (const auto& [v, values] : initial_) set(v, values);
    return *program_;
  }
  void set(Value v, const Numbers& values) {
    std::ranges::copy(values, program_->tensor(v).as<float>());
  }
  Numbers get(Value v) {
    const Tensor tensor = program_->tensor(v);
    return {tensor.as<float>(), tensor.as<float>() + tensor.elements()};
  }
  void run() { program_->run(*backend_->stream(Priority::normal)); }

 private:
  std::unique_ptr<Backend> backend_ = make_backend(Device::cpu, {.threads = 1});
  Graph graph_;
  std::vector<std::pair<Value, Numbers>> initial_;
  std::optional<Program> program_;
};

Steps steps_of(const Job& job) {
  Sandbox sandbox;
  Graph& graph = sandbox.graph();
  const Numbers none(4, 0);
  OptimizerArena arena;
  arena.weights = sandbox.numbers(Role::parameter, "w", kWeights);
  if (has_first_moment(job.attrs.kind)) arena.first = sandbox.numbers(Role::state, "first", none);
  if (has_second_moment(job.attrs.kind))
    arena.second = sandbox.numbers(Role::state, "second", none);
  arena.high_gradient = sandbox.numbers(Role::input, "g", none);
  arena.lr = sandbox.numbers(Role::input, "lr", {job.lr});
  if (!job.start.empty()) arena.start = sandbox.numbers(Role::input, "start", job.start);
  if (!job.lr_scale.empty()) arena.lr_scale = sandbox.numbers(Role::input, "scale", job.lr_scale);
  if (job.attrs.kind >= OptimizerKind::adam) {
    arena.step = sandbox.leaf(Role::state, "step", DType::i64, 2);
  }
  if (job.attrs.max_gradient_norm > 0) {
    arena.squares = gradient_squares(graph, {}, arena.high_gradient);
  }
  if (!job.segments.empty()) {
    arena.segments = sandbox.leaf(Role::input, "segments", DType::i32, 3);
    arena.norms = lamb_norms(graph, arena, job.attrs);
  }
  optimizer_update(graph, arena, job.attrs);
  Program& program = sandbox.compiled();
  if (arena.segments) {
    std::ranges::copy(job.segments, program.tensor(arena.segments).as<int32_t>());
  }
  Steps made;
  for (size_t step = 0; step < kGradients.size(); ++step) {
    sandbox.set(arena.high_gradient, kGradients[step]);
    if (arena.step) program.tensor(arena.step).as<int64_t>()[1] = static_cast<int64_t>(step);
    sandbox.run();
    made.push_back(sandbox.get(arena.weights));
  }
  return made;
}

void expect_steps(const Job& job, const Steps& want) {
  const Steps got = steps_of(job);
  for (size_t step = 0; step < want.size(); ++step) {
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(want[step][i], got[step][i], 1e-6) << "step " << step << ", element " << i;
    }
  }
}

TEST(OptimizerGolden, Sgd) {  // w -= 0.1 g
  expect_steps({{.momentum = 0}}, {{0.95f, -1.9f, 0.475f, -0.2f},
                                   {0.975f, -1.95f, 0.375f, 0},
                                   {0.875f, -1.95f, 0.425f, -0.05f}});
}

TEST(OptimizerGolden, Momentum) {  // g += 0.1 w; v = 0.9 v + g; w -= 0.1 v
  expect_steps({{.momentum = 0.9, .weight_decay = 0.1, .decay_elements = 4}},
               {{0.94f, -1.88f, 0.47f, -0.2f},
                {0.9016f, -1.8032f, 0.3383f, -0.178f},
                {0.758024f, -1.716048f, 0.266387f, -0.20642f}});
}

TEST(OptimizerGolden, Nesterov) {  // v = 0.9 v + g; w -= 0.1 (g + 0.9 v)
  expect_steps({{.momentum = 0.9, .nesterov = true}}, {{0.905f, -1.81f, 0.4525f, -0.38f},
                                                       {0.912f, -1.824f, 0.24225f, -0.162f},
                                                       {0.7058f, -1.7916f, 0.238025f, -0.2408f}});
}

TEST(OptimizerGolden, Adagrad) {  // g += 0.1 w; s += g^2; w -= 0.1 g / (sqrt(s) + 1e-10)
  expect_steps({{.kind = OptimizerKind::adagrad,
                 .epsilon = 1e-10,
                 .weight_decay = 0.1,
                 .decay_elements = 4}},
               {{0.9f, -1.9f, 0.4f, -0.1f},
                {0.925766265f, -1.9250122f, 0.303917641f, -0.0291132064f},
                {0.838826927f, -1.90966436f, 0.343718781f, -0.0463807292f}});
}

TEST(OptimizerGolden, RmsProp) {
  // g += 0.1 w; s = 0.9 s + 0.1 g^2; w -= 0.01 g / (sqrt(s) + 1e-8)
  expect_steps(
      {{.kind = OptimizerKind::rmsprop, .alpha = 0.9, .weight_decay = 0.1, .decay_elements = 4},
       0.01f},
      {{0.968377225f, -1.96837722f, 0.468377227f, -0.0316227761f},
       {0.976593978f, -1.9765148f, 0.437862095f, -0.00866404208f},
       {0.948417067f, -1.97100785f, 0.450677325f, -0.0145874479f}});
}

TEST(OptimizerGolden, Adam) {
  // g += 0.1 w; m = 0.9 m + 0.1 g; s = 0.999 s + 0.001 g^2;
  // w -= 0.1 (m / (1 - 0.9^t)) / (sqrt(s / (1 - 0.999^t)) + 1e-8)
  expect_steps({{.kind = OptimizerKind::adam, .weight_decay = 0.1, .decay_elements = 4}},
               {{0.900000002f, -1.9f, 0.400000003f, -0.0999999995f},
                {0.854441367f, -1.85374726f, 0.309936033f, -0.0944874891f},
                {0.7815044f, -1.80892934f, 0.271470349f, -0.10118659f}});
}

TEST(OptimizerGolden, AdamW) {  // adam without decay in g; w -= 0.1 (... + 0.1 w)
  expect_steps({{.kind = OptimizerKind::adamw, .weight_decay = 0.1, .decay_elements = 4}},
               {{0.890000002f, -1.88f, 0.395000004f, -0.0999999995f},
                {0.854466299f, -1.8345663f, 0.302612356f, -0.0937368416f},
                {0.780110477f, -1.7956327f, 0.265976293f, -0.0999216562f}});
}

TEST(OptimizerGolden, Lamb) {
  // u = adamw's step before the rate, epsilon 1e-6; w -= 0.1 |w| / |u| u for each of two tensors of
  // two numbers
  expect_steps(
      {{.kind = OptimizerKind::lamb, .epsilon = 1e-6, .weight_decay = 0.1, .decay_elements = 4},
       0.1f,
       {},
       {},
       {0, 2, 4}},
      {{0.848903461f, -1.83516725f, 0.46379316f, -0.0344828185f},
       {0.724469046f, -1.67579085f, 0.417370021f, -0.031685731f},
       {0.5619092f, -1.59269091f, 0.376175769f, -0.0391053574f}});
}

TEST(OptimizerGolden, ElasticNet) {  // w -= 0.1 (g + 0.1 w + 0.2 sign(w)), sign(0) = 0
  expect_steps({{.momentum = 0, .weight_decay = 0.1, .l1 = 0.2, .decay_elements = 4}},
               {{0.92f, -1.86f, 0.45f, -0.2f},
                {0.9158f, -1.8714f, 0.3255f, 0.022f},
                {0.786642f, -1.832686f, 0.352245f, -0.04822f}});
}

TEST(OptimizerGolden, L2TowardsTheStart) {  // w -= 0.1 (g + 0.5 (w - w_0))
  expect_steps({{.momentum = 0, .l2_start = 0.5, .decay_elements = 4}, 0.1f, {0.5f, -2.5f, 0, 1}},
               {{0.925f, -1.925f, 0.45f, -0.15f},
                {0.92875f, -2.00375f, 0.3275f, 0.1075f},
                {0.8073125f, -2.0285625f, 0.361125f, 0.102125f}});
}

TEST(OptimizerGolden, ClippingByTheGlobalNorm) {
  // |g| = 2.3049, 2.3049, 1.2247: w -= 0.1 g min(1, 1.5 / |g|)
  expect_steps({{.momentum = 0, .max_gradient_norm = 1.5}},
               {{0.967460431f, -1.93492086f, 0.483730216f, -0.130158275f},
                {0.983730216f, -1.96746043f, 0.418651078f, 0},
                {0.883730216f, -1.96746043f, 0.468651078f, -0.05f}});
}

TEST(OptimizerGolden, ALearningRateAnElement) {  // adamw; times 1, 0, 0.5, 2
  expect_steps({{.kind = OptimizerKind::adamw, .weight_decay = 0.1, .decay_elements = 4},
                0.1f,
                {},
                {1, 0, 0.5f, 2}},
               {{0.890000002f, -2, 0.447500002f, -0.199999999f},
                {0.854466299f, -2, 0.401043678f, -0.185473683f},
                {0.780110477f, -2, 0.38223349f, -0.196008576f}});
}

TEST(OptimizerGolden, FourBatchesGiveTheMeanGradient) {
  Sandbox sandbox;
  const Value sum = sandbox.numbers(Role::state, "sum", {99, 99});
  const Value g = sandbox.numbers(Role::input, "g", {1, -4});
  gradient_accumulate(sandbox.graph(), sum, g, {.keep = 0, .scale = 0.25});
  for (int i = 0; i < 3; ++i) gradient_accumulate(sandbox.graph(), sum, g, {.scale = 0.25});
  sandbox.compiled();
  sandbox.run();
  EXPECT_EQ((Numbers{1, -4}), sandbox.get(sum));
}

TEST(OptimizerGolden, MovingAverage) {  // 0.75 * 2 + 0.25 * 4 = 2.5, then 2.875
  Sandbox sandbox;
  const Value average = sandbox.numbers(Role::state, "average", {2});
  const Value w = sandbox.numbers(Role::input, "w", {4});
  ema_update(sandbox.graph(), average, w, {.decay = 0.75});
  ema_update(sandbox.graph(), average, w, {.decay = 0.75});
  sandbox.compiled();
  sandbox.run();
  EXPECT_EQ(2.875f, sandbox.get(average)[0]);
}

TEST(OptimizerGolden, MaxNorm) {  // (3, 4) is 5 long: halved; (1, -2) is within 2.5
  Sandbox sandbox;
  const Value w = sandbox.graph().leaf(Role::parameter, "w", {DType::f32, {2, 2}});
  max_norm(sandbox.graph(), w, {}, {.limit = 2.5});
  sandbox.compiled();
  sandbox.set(w, {3, 4, 1, -2});
  sandbox.run();
  EXPECT_EQ((Numbers{1.5f, 2, 1, -2}), sandbox.get(w));
}

TEST(OptimizerMistakes, InputsThatDoNotFitTheKindAreErrors) {
  Graph graph;
  const TensorDesc all{DType::f32, {4}};
  OptimizerArena arena{.weights = graph.parameter("w", all),
                       .high_gradient = graph.input("g", all),
                       .lr = graph.input("lr", {DType::f32, {1}})};
  EXPECT_THROW(optimizer_update(graph, arena, {}), Error);  // no velocity
  arena.first = graph.state("first", all);
  EXPECT_NO_THROW(optimizer_update(graph, arena, {}));
  EXPECT_THROW(optimizer_update(graph, arena, {.kind = OptimizerKind::rmsprop}), Error);
  EXPECT_THROW(optimizer_update(graph, arena, {.kind = OptimizerKind::adam}), Error);
  EXPECT_THROW(optimizer_update(graph, arena, {.l2_start = 1}), Error);
  EXPECT_THROW(optimizer_update(graph, arena, {.max_gradient_norm = 1}), Error);
  EXPECT_THROW(optimizer_update(graph, arena, {.weight_decay = -1}), Error);
  EXPECT_THROW(optimizer_update(graph, arena, {.decay_elements = 5}), Error);
  arena.second = graph.state("second", all);
  EXPECT_THROW(optimizer_update(graph, arena, {}), Error);  // a moment that SGD lacks
  arena.step = graph.state("step", {DType::i64, {2}});
  EXPECT_NO_THROW(optimizer_update(graph, arena, {.kind = OptimizerKind::adam}));
  EXPECT_THROW(optimizer_update(graph, arena, {.kind = OptimizerKind::adam, .beta2 = 1}), Error);
  EXPECT_THROW(optimizer_update(graph, arena, {.kind = OptimizerKind::adam, .epsilon = 0}), Error);
  EXPECT_THROW(optimizer_update(graph, arena, {.kind = OptimizerKind::lamb}), Error);
  EXPECT_THROW(optimizer_from_name("adamv"), Error);
  EXPECT_EQ(OptimizerKind::adamw, optimizer_from_name(name_of(OptimizerKind::adamw)));
}

}  // namespace
}  // namespace kd
