// What compile() does to a graph before anything is prepared.
#pragma once

#include <functional>
#include <span>

#include "kd/graph.h"

namespace kd {

// Replaces each fused node that `supported` refuses by its expansion; value ids stay.
void expand_unsupported(Graph& graph, const std::function<bool(const Node&)>& supported);

// Drops nodes that neither make something `wanted` depends on nor update state.
void drop_dead_nodes(Graph& graph, std::span<const Value> wanted);

}  // namespace kd
