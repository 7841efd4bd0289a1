// cuDNN's execution plan for a pattern on a device, live or described.
#pragma once

#include <cudnn.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/cudnn_pattern.h"
#include "backend/cuda/handles.h"

namespace kd::cuda {

// What a plan is for: a live handle, or without one the description of a device, for which plans
// can be built and looked at but not run.
struct Target {
  cudnnHandle_t handle = nullptr;
  std::string description;  // cuDNN's JSON of a device's properties
  int sm = 0;               // 90 for compute capability 9.0
};

class Plan {
 public:
  virtual ~Plan() = default;
  virtual size_t workspace() const = 0;        // bytes
  virtual std::string name() const = 0;        // the engine and its knobs, for people
  virtual std::string serialized() const = 0;  // cuDNN's text of it, for load_plan
  virtual cudnnBackendDescriptor_t descriptor() const = 0;
};
using PlanPtr = std::shared_ptr<const Plan>;

// Plans in cuDNN's order of preference, at most `most`; if there are none, why.
struct PlanList {
  std::vector<PlanPtr> plans;
  std::string why_none;
};

// Only engines that give the same bits each time and accumulate in float; TF32 where the pattern
// allows it.
PlanList build_plans(const Pattern& pattern, const Target& target, int most = 1);

// From serialized(); throws Error{device} if cuDNN refuses it.
PlanPtr load_plan(const std::string& serialized, cudnnHandle_t handle);

// Runs a plan; remembers the last pointers, because they seldom change.
class PlanRun {
 public:
  explicit PlanRun(PlanPtr plan) : plan_(std::move(plan)) {}
  size_t workspace() const { return plan_->workspace(); }
  // pointers: of the pattern's tensors in order, aligned to 16 bytes. Enqueues on the handle's
  // stream.
  void operator()(cudnnHandle_t handle, std::span<void* const> pointers, void* workspace);

 private:
  using Descriptor = Handle<cudnnBackendDescriptor_t, cudnnBackendDestroyDescriptor>;
  void bind(std::span<void* const> pointers, void* workspace);
  PlanPtr plan_;
  Descriptor variant_;
  std::vector<void*> bound_;  // what variant_ holds: the pointers, then the workspace
};

}  // namespace kd::cuda
