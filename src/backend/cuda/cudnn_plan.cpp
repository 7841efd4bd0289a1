#include "backend/cuda/cudnn_plan.h"

#include "backend/cuda/cudnn_graph.h"

namespace kd::cuda {
namespace {

namespace fe = cudnn_frontend;

constexpr int64_t kMostWorkspace = int64_t{1} << 30;
constexpr size_t kAlignment = 16;  // the frontend tells cuDNN that tensors have this

class BuiltPlan final : public Plan {
 public:
  explicit BuiltPlan(std::shared_ptr<fe::ExecutionPlan> plan) : plan_(std::move(plan)) {}
  size_t workspace() const override { return static_cast<size_t>(plan_->getWorkspaceSize()); }
  std::string name() const override { return plan_->getTag(); }
  std::string serialized() const override { return plan_->getJsonRepresentation(); }
  cudnnBackendDescriptor_t descriptor() const override { return plan_->get_raw_desc(); }

 private:
  std::shared_ptr<fe::ExecutionPlan> plan_;
};

std::shared_ptr<const fe::DeviceProperties> described(const std::string& description) {
  auto properties = std::make_shared<fe::DeviceProperties>();
  auto status = properties->deserialize({description.begin(), description.end()});
  if (status.is_bad()) {
    fail(ErrorCode::device, "cuDNN refuses the device description: {}", status.get_message());
  }
  return properties;
}

// Engines whose arithmetic is not what the pattern asks for.
std::vector<fe::NumericalNote_t> unwanted(const Pattern& pattern) {
  std::vector<fe::NumericalNote_t> notes{fe::NumericalNote_t::NONDETERMINISTIC,
                                         fe::NumericalNote_t::REDUCED_PRECISION_REDUCTION};
  if (pattern.dtype == DType::f32 && !pattern.allow_tf32) {
    notes.push_back(fe::NumericalNote_t::TENSOR_CORE);
    notes.push_back(fe::NumericalNote_t::DOWN_CONVERT_INPUTS);
  }
  return notes;
}

// cuDNN explains itself for each engine it has; the first line says what was asked for.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Up to the list of candidates; the message of what failed, or empty.
std::string prepare(CudnnGraph& graph, const Pattern& pattern, const Target& target) {
  if (target.handle == nullptr) {
    graph.set_device_properties(described(target.description)).set_sm_version(target.sm);
  }
  if (auto s = graph.validate(); s.is_bad()) return s.get_message();
  auto s =
      target.handle ? graph.build_operation_graph(target.handle) : graph.build_operation_graph();
  if (s.is_bad()) return s.get_message();
  s = graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
  if (s.is_bad()) return s.get_message();
  graph.deselect_numeric_notes(unwanted(pattern)).deselect_workspace_greater_than(kMostWorkspace);
  if (s = graph.check_support(); s.is_bad()) return s.get_message();
  return {};
}

}  // namespace

PlanList build_plans(const Pattern& pattern, const Target& target, int most) {
  const auto graph = make_graph(pattern);
  PlanList list;
  list.why_none = first_line(prepare(*graph, pattern, target));
  if (!list.why_none.empty()) return list;
  const int64_t count = graph->get_execution_plan_count();
  for (int64_t i = 0; i < count && static_cast<int>(list.plans.size()) < most; ++i) {
    if (auto status = graph->build_plan_at_index(i); status.is_bad()) {
      list.why_none = first_line(status.get_message());
      continue;
    }
    const auto at = static_cast<size_t>(i);
    list.plans.push_back(std::make_shared<BuiltPlan>(graph->plan_list().execution_plans[at]));
  }
  if (list.plans.empty() && list.why_none.empty()) list.why_none = "cuDNN has no engine for it";
  return list;
}

PlanPtr load_plan(const std::string& serialized, cudnnHandle_t handle) {
  std::shared_ptr<fe::ExecutionPlan> plan;
  auto status = fe::detail::create_cudnn_execution_plan(plan, serialized, handle);
  if (status.is_bad()) fail(ErrorCode::device, "cuDNN: {}", status.get_message());
  return std::make_shared<BuiltPlan>(std::move(plan));
}

void PlanRun::operator()(cudnnHandle_t handle, std::span<void* const> pointers, void* workspace) {
  const bool same = bound_.size() == pointers.size() + 1 && bound_.back() == workspace &&
                    std::equal(pointers.begin(), pointers.end(), bound_.begin());
  if (!same) bind(pointers, workspace);
  KD_CUDNN(cudnnBackendExecute(handle, plan_->descriptor(), variant_.get()));
}

void PlanRun::bind(std::span<void* const> pointers, void* workspace) {
  bound_.clear();  // nothing is bound if this throws
  std::vector<void*> bound(pointers.begin(), pointers.end());
  std::vector<int64_t> ids;
  for (size_t i = 0; i < pointers.size(); ++i) {
    if (reinterpret_cast<uintptr_t>(pointers[i]) % kAlignment != 0) {
      fail(ErrorCode::internal, "tensor {} of a convolution is not aligned to {} bytes", i,
           kAlignment);
    }
    ids.push_back(static_cast<int64_t>(i) + 1);
  }
  Descriptor variant;
  KD_CUDNN(cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, variant.out()));
  const auto set = [&](cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                       size_t count, const void* values) {
    KD_CUDNN(
        cudnnBackendSetAttribute(variant.get(), name, type, static_cast<int64_t>(count), values));
  };
  set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, ids.size(), ids.data());
  set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, bound.size(), bound.data());
  set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  KD_CUDNN(cudnnBackendFinalize(variant.get()));
  variant_ = std::move(variant);
  bound.push_back(workspace);
  bound_ = std::move(bound);
}

}  // namespace kd::cuda
