// Layers of a model by path: what recipes tap, train and freeze.
//
//   layer2.0        the last value made under that path (nodes "layer2.0", "layer2.0.conv1", ...)
//   layer2:add      ... by an op of that name: here the last sum, before its ReLU
//   @1, @-1         the output of a stage: the last value at a resolution that every path to the
//                   logits goes through; counted from the first or, negative, from the last
//   @-1:pre         ... before its activation (the output itself where no activation makes it)
//   features        what the last linear layer reads
//   logits
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kd/model.h"

namespace kd {

// Throws Error{usage} naming the model, the path and the nearest layer.
Value find_layer(const Model& model, std::string_view path);

// Stage outputs, (1, H, W, C) each, resolutions falling.
std::vector<Value> stage_outputs(const Model& model);

// Does `name` ("layer1.0.conv1.weight") lie under `pattern` ("layer1", "layer1.*.conv?", "fc")? A
// pattern covers what is below it.
bool matches_layer(std::string_view pattern, std::string_view name);

}  // namespace kd
