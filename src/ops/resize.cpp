// Pictures of a batch are resized.
#include "kd/mix_ops.h"
#include "kernels/resize_taps.h"
#include "ops/common.h"

namespace kd {
namespace {

std::vector<TensorDesc> infer_resize(const Graph& graph, const Node& node) {
  expect_inputs(node, 1, 1);
  const DType dtype = expect_float(graph, node, 0, 4);
  const Shape& x = in_desc(graph, node, 0).shape;
  const auto [height, width] = node.attr<ResizeAttrs>().size;
  for (const int64_t side : {x[1], x[2], int64_t{height}, int64_t{width}}) {
    KD_CHECK(side >= 1 && side <= kernels::kLongestSide,
             "{}: pictures {} become {} x {}; sides go from 1 to {}", label(node), x, height, width,
             kernels::kLongestSide);
  }
  return {{dtype, {x[0], height, width, x[3]}}};
}

// A multiplication and an addition for each pixel under the filter.
Cost resize_cost(const Graph& graph, const Node& node) {
  const Shape& x = in_desc(graph, node, 0).shape;
  const auto& size = node.attr<ResizeAttrs>().size;
  double taps = 1;
  for (size_t i = 0; i < 2; ++i) {
    const double scale = static_cast<double>(x[static_cast<int>(i) + 1]) / size[i];
    taps *= 2 * std::max(1.0, scale);
  }
  return moved(graph, node, 2 * taps);
}

}  // namespace

const OpDef op_resize_images{"resize_images", OpKind::base, infer_resize,
                             nullptr,         nullptr,      resize_cost};

Value resize_images(Graph& graph, Value x, const ResizeAttrs& attrs, std::string name) {
  return graph.add(op_resize_images, {x}, attrs, std::move(name))[0];
}

}  // namespace kd
