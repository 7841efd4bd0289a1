// The rungs of --fusion: which rewrites a training graph goes through.
#pragma once

#include <span>
#include <string>

#include "kd/backend.h"

namespace kd {

// On the forward graph; `keep`: values that are read from outside. Without a backend: nothing.
void fuse_forward(Graph& graph, const std::string& fusion, const Backend* backend,
                  std::span<const Value> keep);
// On the differentiated graph.
void fuse_differentiated(Graph& graph, const std::string& fusion, const Backend* backend,
                         std::span<const Value> keep);

}  // namespace kd
