// The fully connected layer, and batches of products, as oneDNN matrix products.
#include "backend/cpu/onednn.h"

namespace kd::cpu {
namespace {

// dst = a b (+ bias), each operand row-major or transposed by its tag.
struct MatmulStep final : Step {
  MatmulStep(const dnnl::memory::desc& a, const dnnl::memory::desc& b, const dnnl::memory::desc& c,
             bool with_bias, size_t a_input, size_t b_input)
      : bias(with_bias), first(a_input), second(b_input) {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const auto vector = matrix(1, c.get_dims()[1], Tag::ab);
    const auto desc = bias ? dnnl::matmul::primitive_desc(dnnl_engine(), a, b, vector, c, attr)
                           : dnnl::matmul::primitive_desc(dnnl_engine(), a, b, c, attr);
    primitive = Primitive(dnnl::matmul(desc));
    primitive.add(DNNL_ARG_SRC, a);
    primitive.add(DNNL_ARG_WEIGHTS, b);
    primitive.add(DNNL_ARG_DST, c);
    primitive.add(DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc());
    if (bias) primitive.add(DNNL_ARG_BIAS, vector);
    workspace = desc.scratchpad_desc().get_size();
  }
  void run(Stream&, const Pointers& p) override {
    primitive.set(0, p.inputs[first]);
    primitive.set(1, p.inputs[second]);
    primitive.set(2, p.outputs[0]);
    primitive.set(3, p.workspace);
    if (bias) primitive.set(4, p.inputs[2]);
    primitive.run();
  }
  bool bias;
  size_t first, second;
  Primitive primitive;
};

// (G, rows, columns) of operands as they are multiplied, whose memory may be transposed.
dnnl::memory::desc matrices(const Shape& s, bool transposed) {
  const dnnl::memory::dims dims{s[0], s[transposed ? 2 : 1], s[transposed ? 1 : 2]};
  return {dims, dnnl::memory::data_type::f32, transposed ? Tag::acb : Tag::abc};
}

}  // namespace

StepPtr prepare_linear(const PrepareRequest& request) {  // y (N, K) = x (N, D) w^T
  const Shape &x = in_shape(request, 0), &w = in_shape(request, 1);
  return guarded(request.node, [&]() -> StepPtr {
    return std::make_unique<MatmulStep>(matrix(x[0], x[1], Tag::ab), matrix(w[1], w[0], Tag::ba),
                                        matrix(x[0], w[0], Tag::ab),
                                        request.node.inputs.size() == 3, 0, 1);
  });
}

StepPtr prepare_linear_dgrad(const PrepareRequest& request) {  // dx (N, D) = dy (N, K) w
  const Shape &dy = in_shape(request, 0), &w = in_shape(request, 1);
  return guarded(request.node, [&]() -> StepPtr {
    return std::make_unique<MatmulStep>(matrix(dy[0], dy[1], Tag::ab), matrix(w[0], w[1], Tag::ab),
                                        matrix(dy[0], w[1], Tag::ab), false, 0, 1);
  });
}

StepPtr prepare_linear_wgrad(const PrepareRequest& request) {  // dw (K, D) = dy^T x
  const Shape &x = in_shape(request, 0), &dy = in_shape(request, 1);
  return guarded(request.node, [&]() -> StepPtr {
    return std::make_unique<MatmulStep>(matrix(dy[1], dy[0], Tag::ba), matrix(x[0], x[1], Tag::ab),
                                        matrix(dy[1], x[1], Tag::ab), false, 1, 0);
  });
}

StepPtr prepare_batched_matmul(const PrepareRequest& request) {
  const auto attrs = request.node.attr<BatchedMatmulAttrs>();
  return guarded(request.node, [&]() -> StepPtr {
    return std::make_unique<MatmulStep>(matrices(in_shape(request, 0), attrs.transpose_a),
                                        matrices(in_shape(request, 1), attrs.transpose_b),
                                        matrices(out_shape(request, 0), false), false, 0, 1);
  });
}

}  // namespace kd::cpu
