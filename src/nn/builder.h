// What blocks need to add themselves to a model's graph. Names are layer paths, torchvision's where
// it has them.
#pragma once

#include <filesystem>
#include <string>

#include "kd/model.h"
#include "kd/ops.h"

namespace kd {

// build_model() without weights: a file is judged before memory is taken for what it asks.
Model read_architecture(const std::filesystem::path& json, int64_t classes);

class Builder {
 public:
  Builder(Graph& graph, Activation activation) : graph_(graph), activation_(activation) {}

  struct Conv {
    std::string conv, norm;  // layer paths
    int64_t channels;
    int window = 1, stride = 1;
  };
  // Convolution (padding window/2) and batch norm.
  Value conv_norm(Value x, const Conv& spec);
  Value act(Value x, const std::string& name) { return activation(graph_, x, activation_, name); }
  Value linear(Value x, int64_t classes, const std::string& name);
  // Option A of He et al. 2016: every second pixel, zero channels half before and half after.
  Value subsample_and_pad(Value x, int64_t channels, int stride, const std::string& name);
  int64_t channels(Value x) const { return graph_.shape(x)[3]; }
  Graph& graph() { return graph_; }

 private:
  Graph& graph_;
  Activation activation_;
};

enum class Shortcut { subsample, projection };  // options A and B

struct BlockSpec {
  std::string name;  // "layer1.0"
  int64_t channels;  // of the 3x3 convolutions
  int stride;
  Shortcut shortcut;
};
Value basic_block(Builder& builder, Value x, const BlockSpec& spec);
Value bottleneck(Builder& builder, Value x, const BlockSpec& spec);

}  // namespace kd
