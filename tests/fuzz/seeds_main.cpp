// Writes the seeds of the model reader: fuzz_seeds FOLDER ARCHITECTURE.json...
#include <filesystem>
#include <iostream>

#include "kd/error.h"
#include "kd/model.h"
#include "kd/ops.h"
#include "kd/term_ops.h"

namespace {

// A model of the ops that no architecture of models/ holds.
kd::Model of_many_ops() {
  using namespace kd;
  Model m;
  Graph& g = m.graph;
  m.name = "ops";
  m.input = g.input("input", {DType::f32, {1, 6, 6, 3}});
  m.preprocess.crop_height = m.preprocess.crop_width = 6;
  Value x = slice(g, m.input, {{3}, {0}, {3}, {2}}, "slice");
  x = pad(g, x, {{3}, {1}, {1}}, "pad");
  x = channel_shuffle(g, concat(g, {x, x}, 3, "concat"), 2, "shuffle");
  x = avg_pool(g, max_pool(g, x, {{2, 2}, {1, 1}}, "max"), {{2, 2}, {2, 2}}, "avg");
  x = activation(g, transpose(g, x, {0, 2, 1, 3}, "transpose"), Activation::silu, "silu");
  x = flatten(g, global_avg_pool(g, affine(g, mul(g, x, x), 2, 1), "gap"), "flatten");
  x = softmax(g, dropout(g, x, {}, {0.5, 0}, "dropout"), 2, "softmax");
  m.logits = log_softmax(g, div(g, add(g, x, x), exp(g, x)), 1, "log_softmax");
  m.preprocess.colour = "RGB";
  return m;
}

}  // namespace

int main(int count, char** arguments) {
  const std::filesystem::path folder = arguments[1];
  for (int i = 2; i < count; ++i) {
    const std::filesystem::path path = arguments[i];
    kd::save_model(kd::build_model(path, 3, 1), folder / (path.stem().string() + ".bin"));
  }
  kd::save_model(of_many_ops(), folder / "ops.bin");
}
