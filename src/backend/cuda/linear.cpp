// The fully connected layer and its gradients as cuBLASLt matrix products.
#include <cublasLt.h>

#include "backend/cuda/cuda.h"
#include "backend/cuda/handles.h"

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

// A row-major (rows, columns) matrix is a column-major (columns, rows) one.
Layout layout_of(const TensorDesc& desc) {
  Layout layout;
  KD_CUBLAS(cublasLtMatrixLayoutCreate(layout.out(), cuda_type(desc.dtype),
                                       static_cast<uint64_t>(desc.shape[1]),
                                       static_cast<uint64_t>(desc.shape[0]), desc.shape[1]));
  return layout;
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
      : first_(first), second_(second), bias_(bias) {
    KD_CUBLAS(cublasLtCreate(handle_.out()));
    KD_CUBLAS(cublasLtMatmulDescCreate(operation_.out(), CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set_transposed(CUBLASLT_MATMUL_DESC_TRANSA, second.transposed);
    set_transposed(CUBLASLT_MATMUL_DESC_TRANSB, first.transposed);
    if (bias) {
      const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, cuda_type(in_desc(request, 2).dtype));
    }
    a_ = layout_of(in_desc(request, second.input));
    b_ = layout_of(in_desc(request, first.input));
    c_ = layout_of(out_desc(request, 0));
    choose(request.node);
    workspace = kWorkspace;
  }

  void run(Stream& stream, const Pointers& p) override {
    if (bias_) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.inputs[2]);
    const float one = 1, zero = 0;
    KD_CUBLAS(cublasLtMatmul(handle_.get(), operation_.get(), &one, p.inputs[second_.input],
                             a_.get(), p.inputs[first_.input], b_.get(), &zero, p.outputs[0],
                             c_.get(), p.outputs[0], c_.get(), &algorithm_, p.workspace, kWorkspace,
                             static_cast<cudaStream_t>(static_cast<CudaStream&>(stream).handle())));
  }

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    KD_CUBLAS(cublasLtMatmulDescSetAttribute(operation_.get(), attribute, &value, sizeof(value)));
  }
  void set_transposed(cublasLtMatmulDescAttributes_t attribute, bool transposed) {
    set(attribute, transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  }
  // The heuristic's first choice that sums in a fixed order: no atomics, the same bits each time.
  void choose(const Node& node) {
    Preference preference;
    KD_CUBLAS(cublasLtMatmulPreferenceCreate(preference.out()));
    const size_t most = kWorkspace;
    KD_CUBLAS(cublasLtMatmulPreferenceSetAttribute(
        preference.get(), CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof(most)));
    const uint32_t reductions =
        CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    KD_CUBLAS(cublasLtMatmulPreferenceSetAttribute(preference.get(),
                                                   CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                   &reductions, sizeof(reductions)));
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    KD_CUBLAS(cublasLtMatmulAlgoGetHeuristic(handle_.get(), operation_.get(), a_.get(), b_.get(),
                                             c_.get(), c_.get(), preference.get(), 1, &result,
                                             &found));
    if (found == 0) {
      fail(ErrorCode::device, "{} '{}': cuBLASLt has no algorithm for it", node.op->name,
           node.name);
    }
    algorithm_ = result.algo;
  }

  Operand first_, second_;
  bool bias_;
  LtHandle handle_;
  Operation operation_;
  Layout a_, b_, c_;
  cublasLtMatmulAlgo_t algorithm_{};
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

}  // namespace kd::cuda
