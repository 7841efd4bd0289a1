#include "backend/cuda/cudnn_graph.h"

#include "kd/error.h"

namespace kd::cuda {
namespace {

namespace fe = cudnn_frontend;
using TensorPtr = std::shared_ptr<fe::graph::Tensor_attributes>;

fe::DataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return fe::DataType_t::FLOAT;
    case DType::f16:
      return fe::DataType_t::HALF;
    case DType::bf16:
      return fe::DataType_t::BFLOAT16;
    default:
      fail(ErrorCode::internal, "a convolution of {} is not supported", name_of(dtype));
  }
}

// cuDNN names dimensions N, C, H, W whatever their order in memory: here C is innermost.
struct Layout {
  std::vector<int64_t> dims, strides;
};
Layout channels_last(const Shape& s) {
  return {{s[0], s[3], s[1], s[2]}, {s[1] * s[2] * s[3], 1, s[2] * s[3], s[3]}};
}
Layout channels(int64_t c) { return {{1, c, 1, 1}, {c, 1, c, c}}; }

class GraphBuilder {
 public:
  explicit GraphBuilder(const Pattern& pattern)
      : p_(pattern), graph_(std::make_unique<CudnnGraph>()) {
    graph_->set_io_data_type(data_type(p_.dtype))
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
  }

  std::unique_ptr<CudnnGraph> build() {
    switch (p_.kind) {
      case PatternKind::conv:
        conv();
        break;
      case PatternKind::dgrad:
        dgrad();
        break;
      case PatternKind::wgrad:
        wgrad();
        break;
      case PatternKind::conv_bias_act:
        conv_bias_act();
        break;
    }
    return std::move(graph_);
  }

 private:
  TensorPtr input(const Layout& layout) {
    return graph_->tensor(fe::graph::Tensor_attributes()
                              .set_uid(next_id_++)
                              .set_dim(layout.dims)
                              .set_stride(layout.strides)
                              .set_data_type(data_type(p_.dtype)));
  }
  void output(const TensorPtr& tensor, const Layout& layout) {
    tensor->set_output(true)
        .set_uid(next_id_++)
        .set_dim(layout.dims)
        .set_stride(layout.strides)
        .set_data_type(data_type(p_.dtype));
  }
  template <class Attributes>
  Attributes convolution() const {
    const auto [top, left, bottom, right] = p_.conv.pad;
    return Attributes()
        .set_pre_padding({top, left})
        .set_post_padding({bottom, right})
        .set_stride({p_.conv.stride[0], p_.conv.stride[1]})
        .set_dilation({p_.conv.dilation[0], p_.conv.dilation[1]});
  }
  TensorPtr sum(const TensorPtr& a, const TensorPtr& b) {
    return graph_->pointwise(a, b,
                             fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD));
  }

  void conv() {
    const TensorPtr x = input(channels_last(p_.x)), w = input(channels_last(p_.w));
    output(graph_->conv_fprop(x, w, convolution<fe::graph::Conv_fprop_attributes>()),
           channels_last(p_.y));
  }
  void dgrad() {
    const TensorPtr dy = input(channels_last(p_.y)), w = input(channels_last(p_.w));
    output(graph_->conv_dgrad(dy, w, convolution<fe::graph::Conv_dgrad_attributes>()),
           channels_last(p_.x));
  }
  void wgrad() {
    const TensorPtr x = input(channels_last(p_.x)), dy = input(channels_last(p_.y));
    output(graph_->conv_wgrad(dy, x, convolution<fe::graph::Conv_wgrad_attributes>()),
           channels_last(p_.w));
  }
  void conv_bias_act() {
    const TensorPtr x = input(channels_last(p_.x)), w = input(channels_last(p_.w)),
                    bias = input(channels(p_.w[0]));
    const TensorPtr residual = p_.residual ? input(channels_last(p_.y)) : nullptr;
    TensorPtr y = graph_->conv_fprop(x, w, convolution<fe::graph::Conv_fprop_attributes>());
    if (residual) y = sum(y, residual);  // cuDNN's fused kernels add in this order
    y = sum(y, bias);
    output(p_.activation == Activation::none ? y : graph_->pointwise(y, activation()),
           channels_last(p_.y));
  }
  fe::graph::Pointwise_attributes activation() const {
    fe::graph::Pointwise_attributes attributes;
    switch (p_.activation) {
      case Activation::relu6:
        attributes.set_relu_upper_clip(6);
        [[fallthrough]];
      case Activation::relu:
        return attributes.set_mode(fe::PointwiseMode_t::RELU_FWD);
      case Activation::silu:
        return attributes.set_mode(fe::PointwiseMode_t::SWISH_FWD);
      case Activation::sigmoid:
        return attributes.set_mode(fe::PointwiseMode_t::SIGMOID_FWD);
      default:
        fail(ErrorCode::internal, "cuDNN has no {}", name_of(p_.activation));
    }
  }

  const Pattern& p_;
  std::unique_ptr<CudnnGraph> graph_;
  int64_t next_id_ = 1;
};

}  // namespace

std::unique_ptr<CudnnGraph> make_graph(const Pattern& pattern) {
  return GraphBuilder(pattern).build();
}

}  // namespace kd::cuda
