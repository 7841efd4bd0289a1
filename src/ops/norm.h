// What batch norm, bit masks, pooling and the ops fused of them check alike.
#pragma once

#include "kd/fused_ops.h"

namespace kd {

// Inputs first..last are vectors of x's channels, f32.
void check_channels(const Graph& graph, const Node& node, size_t first, size_t last,
                    const Shape& x);

TensorDesc mask_desc(const Shape& y);
void expect_mask(const Graph& graph, const Node& node, size_t i, const Shape& y);

// The shape of x after pooling; throws Error if the window does not fit.
Shape pooled_shape(const Node& node, const PoolAttrs& attrs, const Shape& x);
// ... where a place in the window must fit into a byte.
Shape indexed_pool_shape(const Node& node, const PoolAttrs& attrs, const Shape& x);

}  // namespace kd
