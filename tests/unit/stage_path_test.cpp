// Paths to a stage's output and to what its last activation reads.
#include <gtest/gtest.h>

#include "kd/error.h"
#include "kd/layers.h"

namespace kd {
namespace {

Model resnet20() {
  return build_model(std::string(KD_SOURCE_DIR) + "/models/cifar_resnet20.json", 10, 1);
}

TEST(StagePath, PreIsBeforeTheActivation) {
  const Model model = resnet20();
  for (const std::string stage : {"@1", "@2", "@-1"}) {
    const Value output = find_layer(model, stage), before = find_layer(model, stage + ":pre");
    EXPECT_NE(output, before) << stage;
    EXPECT_EQ(model.graph.shape(output), model.graph.shape(before)) << stage;
    const auto at = static_cast<size_t>(model.graph.producer(output));
    EXPECT_EQ(model.graph.nodes().at(at).inputs.at(0), before) << stage;
  }
  EXPECT_EQ(find_layer(model, "@-1:pre"), find_layer(model, "layer3:add"));
  EXPECT_EQ(find_layer(model, "@-3:pre"), find_layer(model, "@1:pre"));
}

TEST(StagePath, NamesAStageThatIsThere) {
  const Model model = resnet20();
  for (const std::string path : {"@", "@0", "@4", "@-4:pre", "@:pre", "@x:pre"}) {
    EXPECT_THROW(find_layer(model, path), Error) << path;
  }
}

}  // namespace
}  // namespace kd
