// The ops: attribute structs and builders. x is (N, H, W, C) unless said; NHWC and KRSC throughout.
// Activations and weights are f32, f16 or bf16, all of a node's alike; batch norm's vectors are
// f32. A struct's fields() names its attributes once, for JSON, dumps and comparison. Builders
// throw Error naming the tensors when shapes do not fit.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "kd/graph.h"

namespace kd {

struct NoAttrs {
  template <class F>
  void fields(F&&) {}
};

// --- convolution -------------------------------------------------------------------------------
struct Conv2dAttrs {
  std::array<int, 2> stride{1, 1}, dilation{1, 1};
  std::array<int, 4> pad{0, 0, 0, 0};  // top, left, bottom, right
  int groups = 1;
  template <class F>
  void fields(F&& f) {
    f("stride", stride), f("dilation", dilation), f("pad", pad), f("groups", groups);
  }
};
struct Conv2dGradAttrs {
  Conv2dAttrs conv;
  std::array<int, 2> size{0, 0};  // dgrad: H, W of x; wgrad: R, S of w
  template <class F>
  void fields(F&& f) {
    conv.fields(f), f("size", size);
  }
};
// w (K, R, S, C/groups) -> (N, H', W', K), H' = (H + top + bottom - dilation*(R-1) - 1)/stride + 1.
Value conv2d(Graph&, Value x, Value w, const Conv2dAttrs& = {}, std::string name = {});

// --- activation --------------------------------------------------------------------------------
enum class Activation : uint8_t { none, relu, relu6, silu, sigmoid, hard_swish, hard_sigmoid };
std::string_view name_of(Activation);
Activation activation_from_name(std::string_view);  // throws Error with the nearest valid name
struct ActivationAttrs {
  Activation kind = Activation::relu;
  template <class F>
  void fields(F&& f) {
    f("kind", kind);
  }
};
// hard_sigmoid(x) = min(max(x/6 + 1/2, 0), 1); hard_swish(x) = x hard_sigmoid(x); silu(x) = x
// sigmoid(x).
Value activation(Graph&, Value x, Activation kind, std::string name = {});
Value relu(Graph&, Value x, std::string name = {});
// The gradient needs y for relu, relu6, sigmoid, hard_sigmoid and x for silu, hard_swish.
bool activation_gradient_needs_input(Activation);

// conv2d + bias (K) + optional residual (N, H', W', K), then the activation. FUSED.
struct ConvBiasActAttrs {
  Conv2dAttrs conv;
  Activation activation = Activation::none;
  template <class F>
  void fields(F&& f) {
    conv.fields(f), f("activation", activation);
  }
};
Value conv2d_bias_act(Graph&, Value x, Value w, Value bias, Value residual /* may be empty */,
                      const ConvBiasActAttrs&, std::string name = {});

// --- batch norm --------------------------------------------------------------------------------
struct BatchNormAttrs {
  double eps = 1e-5;
  double momentum = 0.1;  // running = (1-momentum) running + momentum batch (unbiased variance)
  template <class F>
  void fields(F&& f) {
    f("eps", eps), f("momentum", momentum);
  }
};
struct BatchNormReluGradAttrs {
  double eps = 1e-5;
  bool residual = false;  // is there a fourth output, the gradient of the residual?
  template <class F>
  void fields(F&& f) {
    f("eps", eps), f("residual", residual);
  }
};
struct BatchNormWeights {
  Value gamma, beta, running_mean, running_var;  // (C) each
};
// Inference: y = gamma (x - running_mean) / sqrt(running_var + eps) + beta.
Value batch_norm(Graph&, Value x, const BatchNormWeights&, const BatchNormAttrs& = {},
                 std::string name = {});
struct BatchNormTrained {
  Value y, mean, var;  // batch mean and biased batch variance, (C)
};
// Training: normalises by the batch's statistics and updates the running ones in place.
BatchNormTrained batch_norm_train(Graph&, Value x, const BatchNormWeights&,
                                  const BatchNormAttrs& = {}, std::string name = {});
// batch_norm_train, then + residual (if given), then ReLU. FUSED.
BatchNormTrained batch_norm_relu_train(Graph&, Value x, const BatchNormWeights&,
                                       Value residual /* may be empty */,
                                       const BatchNormAttrs& = {}, std::string name = {});
// --- pooling -----------------------------------------------------------------------------------
struct PoolAttrs {
  std::array<int, 2> window{2, 2}, stride{2, 2};
  std::array<int, 4> pad{0, 0, 0, 0};  // top, left, bottom, right
  bool ceil_mode = false;  // last partial window counts; it must start inside x or its pad
  bool count_include_pad =
      false;  // avg_pool: divide by the whole window (but never by ceil's overhang)
  template <class F>
  void fields(F&& f) {
    f("window", window), f("stride", stride), f("pad", pad), f("ceil_mode", ceil_mode),
        f("count_include_pad", count_include_pad);
  }
};
struct PoolGradAttrs {
  PoolAttrs pool;
  std::array<int, 2> size{0, 0};  // H, W of x
  template <class F>
  void fields(F&& f) {
    pool.fields(f), f("size", size);
  }
};
// (rows, columns) of the output for an input of (h, w).
std::array<int64_t, 2> pooled_size(const PoolAttrs&, int64_t h, int64_t w);
Value max_pool(Graph&, Value x, const PoolAttrs&,
               std::string name = {});  // ties: the first in row order
Value avg_pool(Graph&, Value x, const PoolAttrs&, std::string name = {});
Value global_avg_pool(Graph&, Value x, std::string name = {});  // -> (N, 1, 1, C)
struct SizeAttrs {
  std::array<int, 2> size{0, 0};  // H, W
  template <class F>
  void fields(F&& f) {
    f("size", size);
  }
};

// --- linear ------------------------------------------------------------------------------------
// x (N, D), w (K, D), bias (K) or empty -> (N, K), of the bias's dtype: x and w in 16 bits with an
// f32 bias give f32 logits. Without a bias, of x's.
Value linear(Graph&, Value x, Value w, Value bias = {}, std::string name = {});

// --- pointwise, with right-aligned broadcasting of dimensions that are 1 or missing --------------
Value add(Graph&, Value a, Value b, std::string name = {});
Value mul(Graph&, Value a, Value b, std::string name = {});
Value div(Graph&, Value a, Value b, std::string name = {});
struct AffineAttrs {
  double factor = 1, offset = 0;
  template <class F>
  void fields(F&& f) {
    f("factor", factor), f("offset", offset);
  }
};
Value affine(Graph&, Value x, double factor, double offset = 0, std::string name = {});
Value sub(Graph&, Value a, Value b);  // add(a, affine(b, -1))
Value exp(Graph&, Value x, std::string name = {});
struct CastAttrs {
  DType to = DType::f32;
  template <class F>
  void fields(F&& f) {
    f("to", to);
  }
};
// To another float type, rounded to nearest even.
Value cast(Graph&, Value x, DType to, std::string name = {});

// --- shape -------------------------------------------------------------------------------------
struct DimsAttrs {
  std::vector<int64_t> dims;
  template <class F>
  void fields(F&& f) {
    f("dims", dims);
  }
};
Value reshape(Graph&, Value x, std::vector<int64_t> dims, std::string name = {});  // one may be -1
Value flatten(Graph&, Value x, std::string name = {});  // (N, ...) -> (N, rest), in memory order
struct AxisAttrs {
  int axis = 3;
  template <class F>
  void fields(F&& f) {
    f("axis", axis);
  }
};
Value concat(Graph&, std::vector<Value> xs, int axis = 3, std::string name = {});
struct SliceAttrs {  // index = begin, begin+step, ... < end, along each of `axes`
  std::vector<int64_t> axes, begin, end, step;
  template <class F>
  void fields(F&& f) {
    f("axes", axes), f("begin", begin), f("end", end), f("step", step);
  }
};
struct SliceGradAttrs {  // dy scattered into zeros; `extent` of x along each axis
  SliceAttrs slice;
  std::vector<int64_t> extent;
  template <class F>
  void fields(F&& f) {
    slice.fields(f), f("extent", extent);
  }
};
Value slice(Graph&, Value x, const SliceAttrs&, std::string name = {});
struct PadAttrs {  // zeros before and after, along each of `axes`
  std::vector<int64_t> axes, before, after;
  template <class F>
  void fields(F&& f) {
    f("axes", axes), f("before", before), f("after", after);
  }
};
Value pad(Graph&, Value x, const PadAttrs&, std::string name = {});
struct ShuffleAttrs {
  int groups = 1;
  template <class F>
  void fields(F&& f) {
    f("groups", groups);
  }
};
// Channels seen as (groups, C/groups) and transposed.
Value channel_shuffle(Graph&, Value x, int groups, std::string name = {});

// --- random ------------------------------------------------------------------------------------
struct DropoutAttrs {
  double rate = 0.5;      // probability of zero; survivors are scaled by 1/(1-rate)
  int64_t tensor_id = 0;  // tells this dropout's numbers from another's
  template <class F>
  void fields(F&& f) {
    f("rate", rate), f("tensor_id", tensor_id);
  }
};
// key: i64 (2) = (seed, step). Without a key it is a place in a model that inference passes
// through. Element i is kept iff uniform01(philox(seed, Purpose::dropout, step, tensor_id, i)) >=
// rate (kd/random.h), with i the row-major index.
Value dropout(Graph&, Value x, Value key /* may be empty */, const DropoutAttrs&,
              std::string name = {});

// --- rows of logits (N, K) -----------------------------------------------------------------------
struct SoftmaxAttrs {
  double temperature = 1;
  template <class F>
  void fields(F&& f) {
    f("temperature", temperature);
  }
};
Value softmax(Graph&, Value x, double temperature = 1,
              std::string name = {});  // softmax(x/T) over the last axis
Value log_softmax(Graph&, Value x, double temperature = 1, std::string name = {});
struct OneHotAttrs {
  int64_t classes = 0;
  double smoothing = 0;
  template <class F>
  void fields(F&& f) {
    f("classes", classes), f("smoothing", smoothing);
  }
};
// labels i32 (N) -> f32 (N, classes): (1-smoothing) at the label, + smoothing/classes everywhere. A
// row whose label is -1 has none and is 0; one of any other label outside [0, classes) is NaN.
Value one_hot(Graph&, Value labels, int64_t classes, double smoothing = 0, std::string name = {});

// --- reductions and constants --------------------------------------------------------------------
Value sum_to(Graph&, Value x, const Shape& shape,
             std::string name = {});  // the adjoint of broadcasting
Value broadcast_to(Graph&, Value x, const Shape& shape, std::string name = {});
Value mean(Graph&, Value x, std::string name = {});  // over everything -> scalar
struct FillAttrs {
  std::vector<int64_t> dims;
  double value = 0;
  template <class F>
  void fields(F&& f) {
    f("dims", dims), f("value", value);
  }
};
Value fill(Graph&, const Shape& shape, double value);

// --- metrics -------------------------------------------------------------------------------------
struct TopKAttrs {
  int k = 1;
  template <class F>
  void fields(F&& f) {
    f("k", k);
  }
};
// logits (N, K), labels i32 (N) -> i32 scalar: rows whose label is among the k largest (ties lose;
// a label of -1, or outside [0, K), is wrong).
Value top_k_correct(Graph&, Value logits, Value labels, int k, std::string name = {});

// --- pictures ------------------------------------------------------------------------------------
struct ImagesAttrs {
  std::array<int, 2> size{0, 0};  // H, W of the crop
  int channels = 3;               // of the result; those the pixels lack are 0
  DType to = DType::f32;
  template <class F>
  void fields(F&& f) {
    f("size", size), f("channels", channels), f("to", to);
  }
};
// pixels u8 (N, h, w, C); placements i32 (N, 3) = top, left, mirrored: where the crop lies in the
// picture, pixels outside count as 0; table f32 (C, 257): 256 normalised values of each channel's
// bytes, then the channel they go to. -> (N, H, W, channels), cropped, mirrored, normalised, cast.
Value place_images(Graph&, Value pixels, Value placements, Value table, const ImagesAttrs&,
                   std::string name = {});

// --- the registry --------------------------------------------------------------------------------
const OpDef* find_op(std::string_view name);  // nullptr if there is none
std::span<const OpDef* const> all_ops();

}  // namespace kd
