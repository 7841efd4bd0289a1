// The gradient penalty: the gradient of loss + penalty is that of central differences of its value.
#include <gtest/gtest.h>

#include <cmath>

#include "core/file.h"
#include "distill/step_graph.h"
#include "kd/program.h"
#include "kd/random.h"
#include "support/support.h"

namespace kd {
namespace {

class PenaltyTest : public testing::Test {
 protected:
  PenaltyTest() {
    write_file(
        folder_.path() / "smooth.json",
        R"({"input_size": [6, 6], "stem": {"kind": "cifar", "channels": 4}, "activation": "silu",
                   "stages": [{"block": "basic", "channels": 4, "blocks": 1}]})");
    student_ = build_model(folder_.path() / "smooth.json", 3, 5);
    stage_.batch_size = 4;
    stage_.fusion = "plain";
    stage_.gradient_penalty = 0.5;
    made_ = build_step_graph({&student_, {}}, stage_, {.backend = backend_.get()});
    CompileOptions options;
    options.outputs = made_.gradients;
    options.outputs.push_back(made_.total);
    program_.emplace(compile(made_.graph, *backend_, options));
    for (const Role role : {Role::parameter, Role::state}) {
      for (const Value v : made_.graph.leaves(role)) {
        const std::string& name = made_.graph.info(v).name;
        const auto own = student_.tensors.find(name);
        const Tensor& from = own == student_.tensors.end() ? made_.initial.at(name) : own->second;
        std::copy_n(from.as<float>(), from.elements(), program_->tensor(v).as<float>());
      }
    }
    RandomSequence random(1, Purpose::init, 0, 0);
    const Tensor pictures = program_->tensor(made_.input);
    for (int64_t i = 0; i < pictures.elements(); ++i) {
      pictures.as<float>()[i] = static_cast<float>(random.normal());
    }
    for (int i = 0; i < 4; ++i) program_->tensor(made_.labels).as<int32_t>()[i] = i % 3;
  }

  double total() {
    program_->run(*stream_);
    return double{*program_->tensor(made_.total).as<float>()};
  }

  test::TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = make_backend(Device::cpu, {.threads = 1});
  std::unique_ptr<Stream> stream_ = backend_->stream(Priority::normal);
  Model student_;
  RunConfig stage_;
  StepGraph made_;
  std::optional<Program> program_;
};

TEST_F(PenaltyTest, TheGradientIsThatOfTheWholeObjective) {
  total();
  for (size_t i = 0; i < made_.parameters.size(); ++i) {
    const Tensor w = program_->tensor(made_.parameters[i]);
    const Tensor gradient = program_->tensor(made_.gradients[i]);
    // The slope along the gradient itself: its norm.
    double norm = 0;
    std::vector<float> along(gradient.as<float>(), gradient.as<float>() + gradient.elements());
    for (const float x : along) norm += double{x} * x;
    norm = std::sqrt(norm);
    if (norm < 1e-3) continue;  // a shift that batch norm takes out again
    const auto moved = [&](double by) {
      for (size_t e = 0; e < along.size(); ++e) {
        w.as<float>()[e] += static_cast<float>(by * along[e] / norm);
      }
    };
    constexpr double kStep = 3e-3;
    moved(kStep);
    const double above = total();
    moved(-2 * kStep);
    const double below = total();
    moved(kStep);
    const double slope = (above - below) / (2 * kStep);
    EXPECT_NEAR(slope, norm, 0.03 * norm + 2e-3) << made_.graph.info(made_.parameters[i]).name;
  }
}

TEST_F(PenaltyTest, ItIsThere) {
  const double with = total();
  RunConfig plain = stage_;
  plain.gradient_penalty = 0;
  const StepGraph without = build_step_graph({&student_, {}}, plain, {.backend = backend_.get()});
  EXPECT_GT(made_.graph.nodes().size(), 2 * without.graph.nodes().size());
  EXPECT_GT(with, 0);
}

}  // namespace
}  // namespace kd
