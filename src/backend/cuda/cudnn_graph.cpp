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

// cuDNN names dimensions N, C, H, W whatever their order in memory: here C is innermost. A vector
// is of channels.
TensorPtr& describe(TensorPtr& tensor, int64_t id, const TensorDesc& desc) {
  const Shape s = desc.shape.rank() == 1 ? Shape{1, 1, 1, desc.shape[0]} : desc.shape;
  tensor->set_uid(id)
      .set_dim({s[0], s[3], s[1], s[2]})
      .set_stride({s[1] * s[2] * s[3], 1, s[2] * s[3], s[3]})
      .set_data_type(data_type(desc.dtype));
  return tensor;
}

class GraphBuilder {
 public:
  explicit GraphBuilder(const Pattern& pattern)
      : p_(pattern), tensors_(pattern.tensors()), graph_(std::make_unique<CudnnGraph>()) {
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
      case PatternKind::conv_stats:
        conv_stats();
        break;
      case PatternKind::scale_relu_conv_stats:
        scale_relu_conv_stats();
        break;
      case PatternKind::scale_relu_wgrad:
        scale_relu_wgrad();
        break;
      case PatternKind::dgrad_relu_norm:
        dgrad_relu_norm();
        break;
    }
    return std::move(graph_);
  }

 private:
  const TensorDesc& next_desc() { return tensors_.at(static_cast<size_t>(next_id_ - 1)); }
  TensorPtr input() {  // the next tensor of the pattern
    auto tensor = std::make_shared<fe::graph::Tensor_attributes>();
    describe(tensor, next_id_, next_desc());
    ++next_id_;
    return graph_->tensor(*tensor);
  }
  void output(TensorPtr tensor) {  // is the next tensor of the pattern
    describe(tensor, next_id_, next_desc())->set_output(true);
    ++next_id_;
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
  TensorPtr pointwise(fe::PointwiseMode_t mode, const TensorPtr& a, const TensorPtr& b) {
    return graph_->pointwise(a, b, fe::graph::Pointwise_attributes().set_mode(mode));
  }
  TensorPtr sum(const TensorPtr& a, const TensorPtr& b) {
    return pointwise(fe::PointwiseMode_t::ADD, a, b);
  }
  TensorPtr product(const TensorPtr& a, const TensorPtr& b) {
    return pointwise(fe::PointwiseMode_t::MUL, a, b);
  }

  void conv() {
    const TensorPtr x = input(), w = input();
    output(graph_->conv_fprop(x, w, convolution<fe::graph::Conv_fprop_attributes>()));
  }
  void dgrad() {
    const TensorPtr dy = input(), w = input();
    output(graph_->conv_dgrad(dy, w, convolution<fe::graph::Conv_dgrad_attributes>()));
  }
  void wgrad() {
    const TensorPtr x = input(), dy = input();
    output(graph_->conv_wgrad(dy, x, convolution<fe::graph::Conv_wgrad_attributes>()));
  }
  void conv_bias_act() {
    const TensorPtr x = input(), w = input(), bias = input();
    const TensorPtr residual = p_.residual ? input() : nullptr;
    TensorPtr y = graph_->conv_fprop(x, w, convolution<fe::graph::Conv_fprop_attributes>());
    if (residual) y = sum(y, residual);  // cuDNN's fused kernels add in this order
    y = sum(y, bias);
    output(p_.activation == Activation::none ? y : graph_->pointwise(y, activation()));
  }

  void conv_stats() {
    const TensorPtr x = input(), w = input();
    with_stats(graph_->conv_fprop(x, w, convolution<fe::graph::Conv_fprop_attributes>()));
  }
  void scale_relu_conv_stats() {
    const TensorPtr a = scale_relu(), w = input();
    with_stats(graph_->conv_fprop(a, w, convolution<fe::graph::Conv_fprop_attributes>()));
  }
  void scale_relu_wgrad() {
    const TensorPtr a = scale_relu(), dy = input();
    output(graph_->conv_wgrad(dy, a, convolution<fe::graph::Conv_wgrad_attributes>()));
  }
  void dgrad_relu_norm() {
    const TensorPtr dy = input(), w = input(), x = input(), mean = input(), inv_std = input(),
                    gamma = input(), beta = input();
    TensorPtr da = graph_->conv_dgrad(dy, w, convolution<fe::graph::Conv_dgrad_attributes>());
    da->set_dim({p_.x[0], p_.x[3], p_.x[1], p_.x[2]});
    TensorPtr z = product(pointwise(fe::PointwiseMode_t::SUB, x, mean), inv_std);
    z = sum(product(z, gamma), beta);
    const TensorPtr dz = pointwise(fe::PointwiseMode_t::RELU_BWD, da, z);
    output(dz);
    const auto [dgamma, dbeta, scale_dy, scale_x, bias] =
        graph_->dbn_weight(dz, x, mean, inv_std, gamma, fe::graph::DBN_weight_attributes());
    for (const TensorPtr& vector : {dgamma, dbeta, scale_dy, scale_x, bias}) output(vector);
  }
  TensorPtr scale_relu() {
    const TensorPtr x = input(), scale = input(), bias = input();
    return graph_->pointwise(
        sum(product(x, scale), bias),
        fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::RELU_FWD));
  }
  void with_stats(const TensorPtr& y) {
    output(y);
    const auto [sum_of_y, sum_of_squares] = graph_->genstats(y, fe::graph::Genstats_attributes());
    output(sum_of_y);
    output(sum_of_squares);
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
  std::vector<TensorDesc> tensors_;
  std::unique_ptr<CudnnGraph> graph_;
  int64_t next_id_ = 1;
};

}  // namespace

std::unique_ptr<CudnnGraph> make_graph(const Pattern& pattern) {
  return GraphBuilder(pattern).build();
}

}  // namespace kd::cuda
