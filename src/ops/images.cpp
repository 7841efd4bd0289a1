// Pictures become network inputs on the device.
#include "ops/common.h"

namespace kd {
namespace {

std::vector<TensorDesc> infer_place(const Graph& graph, const Node& node) {
  expect_inputs(node, 3, 3);
  expect_input(graph, node, 0, DType::u8, 4);
  expect_input(graph, node, 1, DType::i32, 2);
  expect_input(graph, node, 2, DType::f32, 2);
  const Shape& pixels = in_desc(graph, node, 0).shape;
  expect_shape(graph, node, 1, {pixels[0], 3});
  expect_shape(graph, node, 2, {pixels[3], 257});
  const auto& attrs = node.attr<ImagesAttrs>();
  KD_CHECK(
      attrs.channels >= pixels[3] && attrs.size[0] >= 1 && attrs.size[1] >= 1 && is_float(attrs.to),
      "{}: pictures {} become {} x {} x {} of {}", label(node), pixels, attrs.size[0],
      attrs.size[1], attrs.channels, name_of(attrs.to));
  return {{attrs.to, {pixels[0], attrs.size[0], attrs.size[1], attrs.channels}}};
}

}  // namespace

const OpDef op_place_images{"place_images", OpKind::base, infer_place,
                            nullptr,        nullptr,      pointwise_cost};

Value place_images(Graph& graph, Value pixels, Value placements, Value table,
                   const ImagesAttrs& attrs, std::string name) {
  return graph.add(op_place_images, {pixels, placements, table}, attrs, std::move(name))[0];
}

}  // namespace kd
