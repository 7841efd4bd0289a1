#include "backend/cuda/conv_plans.h"

#include <iostream>

#include "backend/cuda/autotune.h"
#include "backend/cuda/conv.h"
#include "backend/cuda/options.h"
#include "core/file.h"

namespace kd::cuda {
namespace {

constexpr int kMostCandidates = 8;  // to time

PlanOwner this_device() {
  int device = 0;
  KD_CUDA(cudaGetDevice(&device));
  cudaDeviceProp properties{};
  KD_CUDA(cudaGetDeviceProperties(&properties, device));
  return {properties.name, properties.major * 10 + properties.minor,
          static_cast<int64_t>(cudnnGetVersion())};
}

void say(const std::string& what) { std::cerr << "kdengine: plan cache: " << what << std::endl; }

// What a tuned choice is kept under is not what an untuned one is.
std::string cache_key(const Pattern& pattern) {
  return pattern.key() + (cuda_options().autotune ? " timed" : "");
}

}  // namespace

std::shared_ptr<ConvPlans> ConvPlans::shared() {
  static std::weak_ptr<ConvPlans> current;
  auto plans = current.lock();
  if (!plans) current = plans = std::make_shared<ConvPlans>();
  return plans;
}

ConvPlans::ConvPlans() {
  KD_CUDNN(cudnnCreate(handle_.out()));
  const CudaOptions& options = cuda_options();
  const auto directory =
      options.cache_directory.empty() ? default_cache_directory() : options.cache_directory;
  if (options.plan_cache && !directory.empty()) cache_.emplace(directory, this_device());
}

const ConvPlans::Found& ConvPlans::find(const Pattern& pattern) {
  const std::string key = pattern.key();
  auto at = found_.find(key);
  if (at == found_.end()) at = found_.emplace(key, search(pattern)).first;
  return at->second;
}

ConvPlans::Found ConvPlans::search(const Pattern& pattern) {
  const std::string key = cache_key(pattern);
  if (cache_) {
    const FoundPlan kept = cache_->find(key);
    if (!kept.refusal.empty()) say(cache_->file(key).string() + ": " + kept.refusal + "; rebuilt");
    try {
      if (kept.plan) return {load_plan(*kept.plan, handle_.get()), {}};
    } catch (const Error& error) {
      say(cache_->file(key).string() + ": " + error.what() + "; rebuilt");
    }
  }
  const bool autotune = cuda_options().autotune;
  const PlanList list =
      build_plans(pattern, Target{handle_.get(), {}, 0}, autotune ? kMostCandidates : 1);
  if (list.plans.empty()) return {nullptr, list.why_none};
  PlanPtr plan = autotune ? fastest(list.plans, pattern, handle_.get()) : list.plans[0];
  if (cache_) {
    if (const std::string why = cache_->store(key, plan->serialized()); !why.empty()) {
      say(why + "; plans are not kept");
      cache_.reset();
    }
  }
  return {std::move(plan), {}};
}

PlanPtr ConvPlans::require(const Graph& graph, const Node& node) {
  const auto pattern = pattern_of(graph, node, cuda_options().allow_tf32);
  if (!pattern) fail(ErrorCode::internal, "{}: cuDNN has no such pattern", label_of(node));
  const Found& found = find(*pattern);
  if (found.plan) return found.plan;
  fail(ErrorCode::device, "{}: cuDNN has no plan for {}: {}", label_of(node), pattern->key(),
       found.why);
}

cudnnHandle_t ConvPlans::handle(cudaStream_t stream) {
  const auto [at, fresh] = of_stream_.try_emplace(stream);
  if (fresh) {
    KD_CUDNN(cudnnCreate(at->second.out()));
    KD_CUDNN(cudnnSetStream(at->second.get(), stream));
  }
  return at->second.get();
}

}  // namespace kd::cuda
