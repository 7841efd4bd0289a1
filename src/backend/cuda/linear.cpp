// The fully connected layer and its gradients, and batches of products, as cuBLASLt matrix
// products.
#include <cublasLt.h>

#include <optional>

#include "backend/cuda/conv.h"
#include "backend/cuda/cuda.h"
#include "backend/cuda/handles.h"
#include "backend/cuda/options.h"
#include "kernels/bias.h"

// Throws Error{device} naming the call.
#define KD_CUBLAS(call) ::kd::cuda::check_cublas((call), #call)

namespace kd::cuda {
namespace {

void check_cublas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail(ErrorCode::device, "cuBLASLt: {}: {}", call, cublasLtGetStatusString(status));
}

using LtHandle = Handle<cublasLtHandle_t, cublasLtDestroy>;
using Operation = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

constexpr size_t kWorkspace = size_t{4} << 20;
constexpr uint32_t kAlignment = 16;  // of tensors, in bytes; rows may have any length

cudaDataType_t cuda_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::f16:
      return CUDA_R_16F;
    case DType::bf16:
      return CUDA_R_16BF;
    default:
      fail(ErrorCode::internal, "a matrix product of {} is not supported", name_of(dtype));
  }
}

// A row-major (rows, columns) matrix is a column-major (columns, rows) one; of rank 3, a batch of
// them.
Layout layout_of(const TensorDesc& desc) {
  const bool batched = desc.shape.rank() == 3;
  const int64_t rows = desc.shape[batched ? 1 : 0], columns = desc.shape[batched ? 2 : 1];
  Layout layout;
  KD_CUBLAS(cublasLtMatrixLayoutCreate(layout.out(), cuda_type(desc.dtype),
                                       static_cast<uint64_t>(columns), static_cast<uint64_t>(rows),
                                       columns));
  if (!batched) return layout;
  const auto set = [&](cublasLtMatrixLayoutAttribute_t attribute, const auto& value) {
    KD_CUBLAS(cublasLtMatrixLayoutSetAttribute(layout.get(), attribute, &value, sizeof(value)));
  };
  set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(desc.shape[0]));
  set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, rows * columns);
  return layout;
}

// One for all steps; it lives as long as one of them.
std::shared_ptr<LtHandle> shared_handle() {
  static std::weak_ptr<LtHandle> current;
  auto handle = current.lock();
  if (!handle) {
    handle = std::make_shared<LtHandle>();
    KD_CUBLAS(cublasLtCreate(handle->out()));
    current = handle;
  }
  return handle;
}

cublasComputeType_t compute_type(DType dtype) {
  const bool tf32 = dtype == DType::f32 && cuda_options().allow_tf32;
  return tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}

// One operand of the product: which input of the node, and whether its row-major form is
// transposed.
struct Operand {
  size_t input;
  bool transposed;
};

// out = first second (+ bias), row-major; computed as out^T = second^T first^T in cuBLAS's order.
class ProductStep final : public Step {
 public:
  ProductStep(const PrepareRequest& request, Operand first, Operand second, bool bias)
      : first_(first), second_(second), label_(label_of(request.node)), handle_(shared_handle()) {
    KD_CUBLAS(cublasLtMatmulDescCreate(operation_.out(), compute_type(in_desc(request, 0).dtype),
                                       CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_TRANSA, second.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, first.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    a_ = layout_of(in_desc(request, second.input));
    b_ = layout_of(in_desc(request, first.input));
    c_ = layout_of(out_desc(request, 0));
    workspace = kWorkspace;
    if (bias) {
      const TensorDesc& y = out_desc(request, 0);
      bias_ = kernels::BiasRows{nullptr, nullptr, y.shape[0], y.shape[1], type_of(y.dtype)};
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, cuda_type(in_desc(request, 2).dtype));
      bias_in_product_ = choose();
      if (bias_in_product_) return;
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
    }
    if (!choose()) {
      fail(ErrorCode::device, "{}: cuBLASLt has no algorithm for it", label_);
    }
  }

  void run(Stream& stream, const Pointers& p) override {
    check_alignment(p);
    if (bias_in_product_) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.inputs[2]);
    const kernels::StreamRef on = static_cast<CudaStream&>(stream).ref();
    const float one = 1, zero = 0;
    KD_CUBLAS(cublasLtMatmul(handle_->get(), operation_.get(), &one, p.inputs[second_.input],
                             a_.get(), p.inputs[first_.input], b_.get(), &zero, p.outputs[0],
                             c_.get(), p.outputs[0], c_.get(), &algorithm_, p.workspace, kWorkspace,
                             static_cast<cudaStream_t>(on.handle)));
    if (bias_ && !bias_in_product_) {
      bias_->y = p.outputs[0];
      bias_->bias = p.inputs[2];
      kernels::add_bias_rows(on, *bias_);
    }
  }

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    KD_CUBLAS(cublasLtMatmulDescSetAttribute(operation_.get(), attribute, &value, sizeof(value)));
  }

  // The heuristic's first choice that sums in a fixed order: no atomics, the same bits each time.
  // False if there is none.
  bool choose() {
    Preference preference;
    KD_CUBLAS(cublasLtMatmulPreferenceCreate(preference.out()));
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      KD_CUBLAS(
          cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof(value)));
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace);
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    for (const auto attribute :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      prefer(attribute, kAlignment);
    }
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle_->get(), operation_.get(), a_.get(), b_.get(),
                                       c_.get(), c_.get(), preference.get(), 1, &result, &found);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) return false;
    KD_CUBLAS(status);
    if (found == 0 || result.state != CUBLAS_STATUS_SUCCESS) return false;
    algorithm_ = result.algo;
    return true;
  }

  // What choose() promised.
  void check_alignment(const Pointers& p) const {
    const auto check = [&](const void* pointer, const char* what) {
      if (reinterpret_cast<uintptr_t>(pointer) % kAlignment == 0) return;
      fail(ErrorCode::internal, "{}: {} is not aligned to {} bytes", label_, what, kAlignment);
    };
    check(p.inputs[0], "its first operand");
    check(p.inputs[1], "its second operand");
    check(p.outputs[0], "its result");
    if (bias_in_product_) check(p.inputs[2], "its bias");
  }

  Operand first_, second_;
  std::string label_;
  std::shared_ptr<LtHandle> handle_;
  Operation operation_;
  Layout a_, b_, c_;
  cublasLtMatmulAlgo_t algorithm_{};
  std::optional<kernels::BiasRows> bias_;
  bool bias_in_product_ = false;
};

}  // namespace

StepPtr prepare_linear(const PrepareRequest& request) {  // y (N, K) = x (N, D) w^T
  return std::make_unique<ProductStep>(request, Operand{0, false}, Operand{1, true},
                                       request.node.inputs.size() == 3);
}
StepPtr prepare_linear_dgrad(const PrepareRequest& request) {  // dx (N, D) = dy (N, K) w
  return std::make_unique<ProductStep>(request, Operand{0, false}, Operand{1, false}, false);
}
StepPtr prepare_linear_wgrad(const PrepareRequest& request) {  // dw (K, D) = dy^T x
  return std::make_unique<ProductStep>(request, Operand{1, true}, Operand{0, false}, false);
}

StepPtr prepare_batched_matmul(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<BatchedMatmulAttrs>();
  return std::make_unique<ProductStep>(request, Operand{0, attrs.transpose_a},
                                       Operand{1, attrs.transpose_b}, false);
}

}  // namespace kd::cuda
