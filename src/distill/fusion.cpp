#include "distill/fusion.h"

#include <algorithm>

#include "kd/passes.h"

namespace kd {
namespace {

// Takes a rewrite where the engine runs all that it makes; elsewhere the graph stays as it was.
template <class Pass>
void take_if_run(Graph& graph, const Backend& backend, const Pass& pass) {
  Graph rewritten = graph;
  pass(rewritten);
  const bool runs = std::ranges::all_of(
      rewritten.nodes(), [&](const Node& node) { return backend.supports(rewritten, node); });
  if (runs) graph = std::move(rewritten);
}

}  // namespace

void fuse_forward(Graph& graph, const std::string& fusion, const Backend* backend,
                  std::span<const Value> keep) {
  if (fusion == "plain" || backend == nullptr) return;
  fuse_bn_relu(graph, keep);
  take_if_run(graph, *backend, [&](Graph& g) { fuse_stem_pool(g, keep); });
}

void fuse_differentiated(Graph& graph, const std::string& fusion, const Backend* backend,
                         std::span<const Value> keep) {
  if (fusion == "plain" || backend == nullptr) return;
  if (fusion == "f2") {
    fuse_conv_norm_chain(
        graph, keep, [&](const Graph& g, const Node& node) { return backend->supports(g, node); });
  }
  take_if_run(graph, *backend, [](Graph& g) { use_relu_masks(g); });
}

}  // namespace kd
