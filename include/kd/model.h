// A model: a graph that does not depend on the batch size, its tensors, and what a user of it must
// know: preprocessing and class names. The .bin file (a safetensors file) is this struct.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kd/graph.h"

namespace kd {

// How a decoded picture becomes the network's input: resize the shorter side to `resize` (0 = do
// not), crop the centre to crop_height x crop_width, then (u8/255 - mean) / std per channel.
struct Preprocess {
  int resize = 0;
  int crop_height = 0, crop_width = 0;
  std::array<double, 3> mean{0, 0, 0}, std{1, 1, 1};  // in the order of `colour`
  std::string colour = "RGB";                         // "RGB", "BGR" or "GRAY" (one channel)
  int channels() const { return colour == "GRAY" ? 1 : 3; }
  bool operator==(const Preprocess&) const = default;
};

struct Model {
  std::string name;
  Graph graph;   // batch 1, inference form: batch_norm, dropout without a key
  Value input;   // f32 (1, H, W, C)
  Value logits;  // f32 (1, classes)
  std::map<std::string, Tensor> tensors;  // host f32, one for each parameter and state of the graph
  Preprocess preprocess;
  std::vector<std::string> class_names;  // in the order of the logits; empty if unknown

  int64_t classes() const { return graph.shape(logits)[1]; }
  int64_t parameter_count() const;  // elements of all parameters (not of running statistics)
};

enum class Mode : uint8_t { inference, training };

// The model's graph at a batch size. Training form: batch_norm -> batch_norm_train, dropout gets
// the input "dropout_key" (i64 (2)); inference form: dropout disappears.
struct ModelGraph {
  Graph graph;
  Value input, logits;
  std::vector<Value> taps;  // the values asked for, where they are now
};
struct InstantiateOptions {
  std::vector<Value> taps = {};  // of the model's graph
  // Training form: batch norms whose scale (by its name) is frozen stay in inference form.
  std::function<bool(const std::string& parameter)> frozen = {};
  bool without_dropout = false;  // training form
};
ModelGraph instantiate(const Model& model, int64_t batch, Mode mode,
                       const InstantiateOptions& options = {});

// Reads models/*.json (vocabulary: models/README.md) and initialises the weights from the seed
// (He normal, fan-out; BN gamma 1, beta 0; linear uniform +-1/sqrt(D)). classes 0 = the file's.
Model build_model(const std::filesystem::path& json, int64_t classes, uint64_t seed);

// .bin files: src/io/README.md. Errors name the file and what is wrong with it.
Model load_model(const std::filesystem::path& path);
void save_model(const Model& model,
                const std::filesystem::path& path);  // temporary name, sync, rename

}  // namespace kd
