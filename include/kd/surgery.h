// Changes to a model before it trains: its classes, its head, where its weights begin.
#pragma once

#include <string>
#include <vector>

#include "kd/model.h"

namespace kd {

// The model with logits for `names`, in that order: by class names where it has them (a teacher of
// more classes gives those that are asked for), else as it is. Throws Error{input} naming a class
// it does not know, or both counts where names do not decide.
Model select_classes(const Model& model, const std::vector<std::string>& names,
                     const std::string& who);

// The model up to its `features`, then linear layers of `hidden` widths with ReLU ("head.0", ...),
// then "fc"; new layers begin at random. Everything before keeps its weights.
struct NewHead {
  int64_t classes = 0;
  std::vector<int64_t> hidden = {};
  double dropout = 0;  // before each new linear layer
  uint64_t seed = 0;
};
Model replace_head(const Model& model, const NewHead& head);

// Copies tensors of `from` where shapes agree: by name, and what is left over in the order of the
// layers. Returns a line for each tensor taken: "layer1.0.conv1.weight" or "x from y".
std::vector<std::string> take_weights(Model& model, const Model& from);

}  // namespace kd
