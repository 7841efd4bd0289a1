// A model's graph as JSON: leaves by name, activations as "v<number>", attributes by the names in
// kd/ops.h.
#pragma once

#include <algorithm>

#include "core/json.h"
#include "kd/model.h"

namespace kd {

Json graph_to_json(const Model& model);
// Fills model.graph, input and logits; re-infers every shape. Errors name `where` and the node.
void graph_from_json(const Json& json, const std::string& where, Model& model);

}  // namespace kd
