// Convolutions on oneDNN: forward (also with bias, residual, activation as post-ops), dgrad, wgrad.
#include "backend/cpu/onednn.h"

namespace kd::cpu {
namespace {

using dnnl::memory;

// The convolution's geometry in oneDNN's terms.
struct Geometry {
  memory::dims strides, dilates, pad_before, pad_after;
  memory::desc packed_any, plain;  // weights: any layout; KRSC

  Geometry(const Conv2dAttrs& a, const Shape& w)
      : strides{a.stride[0], a.stride[1]},
        dilates{a.dilation[0] - 1, a.dilation[1] - 1},
        pad_before{a.pad[0], a.pad[1]},
        pad_after{a.pad[2], a.pad[3]} {
    const auto f32 = memory::data_type::f32;
    memory::dims dims{w[0], w[3], w[1], w[2]};
    if (a.groups > 1) dims = {a.groups, w[0] / a.groups, w[3], w[1], w[2]};
    packed_any = memory::desc(dims, f32, Tag::any);
    plain = memory::desc(dims, f32, a.groups > 1 ? Tag::gohwi : Tag::ohwi);
  }
};

constexpr auto kDirect = dnnl::algorithm::convolution_direct;

dnnl::convolution_forward::primitive_desc forward_desc(const Geometry& g, const Shape& x,
                                                       const Shape& y, bool bias,
                                                       const dnnl::primitive_attr& attr) {
  const auto kind = dnnl::prop_kind::forward_training;
  if (!bias) {
    return {dnnl_engine(), kind,      kDirect,      nhwc(x),     g.packed_any, nhwc(y),
            g.strides,     g.dilates, g.pad_before, g.pad_after, attr};
  }
  const memory::desc vector({y[3]}, memory::data_type::f32, Tag::a);
  return {dnnl_engine(), kind,      kDirect,   nhwc(x),      g.packed_any, vector,
          nhwc(y),       g.strides, g.dilates, g.pad_before, g.pad_after,  attr};
}

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Weights as the primitive wants them: packed for every run, or once a version where they are
// frozen.
class PackedWeights {
 public:
  PackedWeights(const memory::desc& plain, const memory::desc& packed, bool frozen)
      : reorder_(plain, packed), bytes_(packed.get_size()), frozen_(frozen) {
    if (reorder_.needed() && frozen) kept_ = allocate_host(bytes_);
  }
  size_t workspace() const { return reorder_.needed() && !frozen_ ? aligned(bytes_) : 0; }
  int reorders() const { return reorder_.needed() && !frozen_ ? 1 : 0; }
  void* get(void* plain, const Pointers& p) {
    if (!reorder_.needed()) return plain;
    void* packed = frozen_ ? kept_.data() : p.workspace;
    if (!frozen_ || version_ != p.weights_version) reorder_.run(plain, packed);
    version_ = p.weights_version;
    return packed;
  }

 private:
  Reorder reorder_;
  size_t bytes_;
  bool frozen_;
  Buffer kept_;
  uint64_t version_ = 0;
};

struct ForwardStep final : Step {
  ForwardStep(const PrepareRequest& request, const Conv2dAttrs& attrs, bool with_bias,
              bool with_residual, Activation activation)
      : geometry(attrs, in_shape(request, 1)), bias(with_bias), residual(with_residual) {
    const Shape &x = in_shape(request, 0), &y = out_shape(request, 0);
    dnnl::primitive_attr attr = user_scratchpad();
    dnnl::post_ops post;
    if (residual) post.append_binary(dnnl::algorithm::binary_add, nhwc(y));
    append(post, activation);
    attr.set_post_ops(post);
    const auto desc = forward_desc(geometry, x, y, bias, attr);
    weights = std::make_unique<PackedWeights>(geometry.plain, desc.weights_desc(),
                                              request.input_is_frozen[1]);
    primitive = Primitive(dnnl::convolution_forward(desc));
    primitive.add(DNNL_ARG_SRC, nhwc(x));
    primitive.add(DNNL_ARG_WEIGHTS, desc.weights_desc());
    primitive.add(DNNL_ARG_DST, nhwc(y));
    primitive.add(DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc());
    if (bias) primitive.add(DNNL_ARG_BIAS, memory::desc({y[3]}, memory::data_type::f32, Tag::a));
    if (residual) {
      primitive.add(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, nhwc(y));
    }
    reorders = weights->reorders();
    workspace = weights->workspace() + desc.scratchpad_desc().get_size();
  }

  static void append(dnnl::post_ops& post, Activation activation) {
    using dnnl::algorithm;
    switch (activation) {
      case Activation::none:
        return;
      case Activation::relu:
        return post.append_eltwise(algorithm::eltwise_relu, 0, 0);
      case Activation::relu6:
        return post.append_eltwise(algorithm::eltwise_clip, 0, 6);
      case Activation::silu:
        return post.append_eltwise(algorithm::eltwise_swish, 1, 0);
      case Activation::sigmoid:
        return post.append_eltwise(algorithm::eltwise_logistic, 0, 0);
      case Activation::hard_swish:
        return post.append_eltwise(algorithm::eltwise_hardswish, 1.f / 6, 0.5f);
      case Activation::hard_sigmoid:
        return post.append_eltwise(algorithm::eltwise_hardsigmoid, 1.f / 6, 0.5f);
    }
  }

  void run(Stream&, const Pointers& p) override {
    primitive.set(0, p.inputs[0]);
    primitive.set(1, weights->get(p.inputs[1], p));
    primitive.set(2, p.outputs[0]);
    primitive.set(3, static_cast<std::byte*>(p.workspace) + weights->workspace());
    if (bias) primitive.set(4, p.inputs[2]);
    if (residual) primitive.set(5, p.inputs[3]);
    primitive.run();
  }

  Geometry geometry;
  bool bias, residual;
  std::unique_ptr<PackedWeights> weights;
  Primitive primitive;
};

struct DgradStep final : Step {
  explicit DgradStep(const PrepareRequest& request) {
    const auto& attrs = request.node.attr<Conv2dGradAttrs>();
    const Geometry g(attrs.conv, in_shape(request, 1));
    const Shape &dy = in_shape(request, 0), &dx = out_shape(request, 0);
    const auto hint = forward_desc(g, dx, dy, false, {});
    const dnnl::convolution_backward_data::primitive_desc desc(
        dnnl_engine(), kDirect, nhwc(dx), g.packed_any, nhwc(dy), g.strides, g.dilates,
        g.pad_before, g.pad_after, hint, user_scratchpad());
    weights =
        std::make_unique<PackedWeights>(g.plain, desc.weights_desc(), request.input_is_frozen[1]);
    primitive = Primitive(dnnl::convolution_backward_data(desc));
    primitive.add(DNNL_ARG_DIFF_DST, nhwc(dy));
    primitive.add(DNNL_ARG_WEIGHTS, desc.weights_desc());
    primitive.add(DNNL_ARG_DIFF_SRC, nhwc(dx));
    primitive.add(DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc());
    reorders = weights->reorders();
    workspace = weights->workspace() + desc.scratchpad_desc().get_size();
  }
  void run(Stream&, const Pointers& p) override {
    primitive.set(0, p.inputs[0]);
    primitive.set(1, weights->get(p.inputs[1], p));
    primitive.set(2, p.outputs[0]);
    primitive.set(3, static_cast<std::byte*>(p.workspace) + weights->workspace());
    primitive.run();
  }
  std::unique_ptr<PackedWeights> weights;
  Primitive primitive;
};

// oneDNN 2023.2's AVX2 1x1 kernel gathers strided pixels eight channels at a time; with other
// channel counts its threads overwrite each other's pixels, and results change from run to run (the
// case conv2d_stride_beyond_kernel shows it). Takes the next kernel then.
void skip_racing_kernel(dnnl::convolution_backward_weights::primitive_desc& desc, const Geometry& g,
                        int64_t channels) {
  const bool strided = g.strides[0] > 1 || g.strides[1] > 1;
  while (strided && channels % 8 != 0 &&
         std::string_view(desc.impl_info_str()).starts_with("jit_1x1:avx2")) {
    if (!desc.next_impl()) break;
  }
}

struct WgradStep final : Step {
  explicit WgradStep(const PrepareRequest& request) {
    const auto& attrs = request.node.attr<Conv2dGradAttrs>();
    const Geometry g(attrs.conv, out_shape(request, 0));
    const Shape &x = in_shape(request, 0), &dy = in_shape(request, 1);
    const auto hint = forward_desc(g, x, dy, false, {});
    dnnl::convolution_backward_weights::primitive_desc desc(
        dnnl_engine(), kDirect, nhwc(x), g.packed_any, nhwc(dy), g.strides, g.dilates, g.pad_before,
        g.pad_after, hint, user_scratchpad());
    skip_racing_kernel(desc, g, x[3]);
    unpack = Reorder(desc.diff_weights_desc(), g.plain);
    primitive = Primitive(dnnl::convolution_backward_weights(desc));
    primitive.add(DNNL_ARG_SRC, nhwc(x));
    primitive.add(DNNL_ARG_DIFF_DST, nhwc(dy));
    primitive.add(DNNL_ARG_DIFF_WEIGHTS, desc.diff_weights_desc());
    primitive.add(DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc());
    packed_bytes = unpack.needed() ? aligned(desc.diff_weights_desc().get_size()) : 0;
    reorders = unpack.needed() ? 1 : 0;
    workspace = packed_bytes + desc.scratchpad_desc().get_size();
  }
  void run(Stream&, const Pointers& p) override {
    void* packed = unpack.needed() ? p.workspace : p.outputs[0];
    primitive.set(0, p.inputs[0]);
    primitive.set(1, p.inputs[1]);
    primitive.set(2, packed);
    primitive.set(3, static_cast<std::byte*>(p.workspace) + packed_bytes);
    primitive.run();
    if (unpack.needed()) unpack.run(packed, p.outputs[0]);
  }
  Reorder unpack;
  Primitive primitive;
  size_t packed_bytes = 0;
};

}  // namespace

StepPtr prepare_conv2d(const PrepareRequest& request) {
  return guarded(request.node, [&]() -> StepPtr {
    return std::make_unique<ForwardStep>(request, request.node.attr<Conv2dAttrs>(), false, false,
                                         Activation::none);
  });
}

StepPtr prepare_conv2d_bias_act(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<ConvBiasActAttrs>();
  return guarded(request.node, [&]() -> StepPtr {
    return std::make_unique<ForwardStep>(request, attrs.conv, true, request.node.inputs.size() == 4,
                                         attrs.activation);
  });
}

StepPtr prepare_conv2d_dgrad(const PrepareRequest& request) {
  return guarded(request.node, [&]() -> StepPtr { return std::make_unique<DgradStep>(request); });
}

StepPtr prepare_conv2d_wgrad(const PrepareRequest& request) {
  return guarded(request.node, [&]() -> StepPtr { return std::make_unique<WgradStep>(request); });
}

}  // namespace kd::cpu
