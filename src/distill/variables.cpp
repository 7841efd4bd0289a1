#include "distill/variables.h"

#include <algorithm>

#include "kd/error.h"
#include "kd/ops.h"

namespace kd {

namespace {

// Every parameter begins at a multiple of so many elements, so that vectors and matrix units can
// read it; what lies between stays 0.
constexpr int64_t kAlignment = 64;

int64_t padded(const TensorDesc& desc) {
  return (desc.shape.elements() + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Variables::Variables(const Graph& graph, std::span<const Value> trained,
                     const std::map<std::string, Tensor>& initial, Backend& backend,
                     const Options& options)
    : backend_(backend), stream_(backend.stream(Priority::normal)) {
  plan(graph, trained, options.decay_all);
  allocate(graph, options);
  place_trained();
  std::map<std::string, Tensor> start = initial;
  fill_arenas(start);
  restore(start);
}

void Variables::fill_arenas(std::map<std::string, Tensor>& initial) const {
  const auto zero = [&] {
    Tensor made = Tensor::host(parameters_.desc());
    std::fill_n(made.as<float>(), total_, 0.0f);
    return made;
  };
  for (const auto& [name, arena] : arenas_) {
    const Tensor& made = initial["arena." + name] = zero();
    for (const std::string& parameter : order_) {
      if (name != "start" && name != "average") break;
      const Tensor& from = initial.at(parameter);
      std::copy_n(from.as<float>(), from.elements(), made.as<float>() + offset(parameter));
    }
  }
}

Tensor Variables::low_parameter(const std::string& name) const {
  const auto at = low_views_.find(name);
  return at == low_views_.end() ? Tensor{} : at->second;
}

// Orders the parameters: those with 16-bit copies first, and among them the decayed ones.
void Variables::plan(const Graph& graph, std::span<const Value> trained, bool decay_all) {
  std::vector<Value> leaves(trained.begin(), trained.end());
  const auto is_low = [&](Value v) { return graph.desc(v).dtype != DType::f32; };
  const auto is_decayed = [&](Value v) { return decay_all || graph.shape(v).rank() >= 2; };
  std::stable_partition(leaves.begin(), leaves.end(), is_decayed);
  std::stable_partition(leaves.begin(), leaves.end(), is_low);
  bool decaying = true;
  for (const Value v : leaves) {
    const ValueInfo& value = graph.info(v);
    order_.push_back(value.name);
    descs_[value.name] = {DType::f32, value.desc.shape};
    total_ += padded(value.desc);
    if (is_low(v)) lowered_ = total_;
    if (is_decayed(v)) {
      if (!decaying) fail(ErrorCode::internal, "the decayed parameters are not in one piece");
      decayed_ = total_;
    } else {
      decaying = false;
    }
  }
}

void Variables::allocate(const Graph& graph, const Options& options) {
  const auto memory = [&](const TensorDesc& desc) {
    return Tensor(desc, backend_.allocate(desc.bytes(), Memory::device));
  };
  for (const Role role : {Role::parameter, Role::state}) {
    for (const Value v : graph.leaves(role)) {
      const ValueInfo& value = graph.info(v);
      const bool low = role == Role::parameter && value.desc.dtype != DType::f32;
      if (low) low_dtype_ = value.desc.dtype;
      if (descs_.contains(value.name)) continue;  // in the arenas
      const DType dtype = low ? DType::f32 : value.desc.dtype;
      views_[value.name] = memory({dtype, value.desc.shape});
      if (low) low_views_[value.name] = memory(value.desc);
    }
  }
  parameters_ = memory({DType::f32, {total_}});
  for (const std::string& name : options.arenas) arenas_[name] = memory({DType::f32, {total_}});
  gradients_ = memory({DType::f32, {total_ - lowered_}});
  if (lowered_ > 0) {
    low_parameters_ = memory({low_dtype_, {lowered_}});
    low_gradients_ = memory({low_dtype_, {lowered_}});
  }
}

void Variables::place_trained() {
  int64_t at = 0;
  for (const std::string& name : order_) {
    const TensorDesc& desc = descs_[name];
    const auto bytes = [&](int64_t elements, DType dtype) {
      return static_cast<size_t>(elements) * size_of(dtype);
    };
    offsets_[name] = at;
    views_[name] = Tensor(desc, parameters_.buffer(), bytes(at, DType::f32));
    if (at < lowered_) {
      const TensorDesc low{low_dtype_, desc.shape};
      low_views_[name] = Tensor(low, low_parameters_.buffer(), bytes(at, low_dtype_));
      gradient_views_[name] = Tensor(low, low_gradients_.buffer(), bytes(at, low_dtype_));
    } else {
      gradient_views_[name] = Tensor(desc, gradients_.buffer(), bytes(at - lowered_, DType::f32));
    }
    at += padded(desc);
  }
}

Tensor Variables::view_of(const std::string& name, const std::string& from) const {
  const auto at = offsets_.find(name);
  if (from.empty() || at == offsets_.end()) return views_.at(name);
  return {descs_.at(name), arenas_.at(from).buffer(),
          static_cast<size_t>(at->second) * sizeof(float)};
}

std::vector<Binding> Variables::bind(const Graph& graph, const std::string& from) const {
  std::vector<Binding> bindings;
  for (const auto& [name, view] : views_) {
    const Value v = graph.find(name);
    if (!v) continue;
    const bool low = graph.info(v).role == Role::parameter && graph.desc(v).dtype != DType::f32;
    bindings.push_back({v, low ? low_views_.at(name) : view_of(name, from)});
  }
  return bindings;
}

Tensor Variables::gradient(const std::string& name) const { return gradient_views_.at(name); }

std::map<std::string, Tensor> Variables::fetch() const {
  std::map<std::string, Tensor> host;
  const auto get = [&](const std::string& name, const Tensor& from) {
    const Tensor to = Tensor::host(from.desc());
    backend_.copy(to.data(), from.data(), from.bytes(), *stream_);
    host[name] = to;
  };
  for (const auto& [name, view] : views_) get(name, view);
  for (const auto& [name, arena] : arenas_) get("arena." + name, arena);
  backend_.synchronize(*stream_);
  return host;
}

void Variables::restore(const std::map<std::string, Tensor>& host) {
  const auto put = [&](const std::string& name, const Tensor& to) {
    const auto at = host.find(name);
    KD_CHECK(at != host.end() && at->second.desc() == to.desc(),
             "the tensor '{}' is missing or not {}", name, to.desc().str());
    backend_.copy(to.data(), at->second.data(), to.bytes(), *stream_);
  };
  for (const auto& [name, view] : views_) put(name, view);
  for (const auto& [name, arena] : arenas_) put("arena." + name, arena);
  backend_.synchronize(*stream_);
  if (!low_views_.empty()) refresh_low();
}

void Variables::refresh_low() {
  Graph graph;
  CompileOptions options;
  const auto round = [&](const std::string& name, const Tensor& from, const Tensor& to) {
    const Value whole = graph.input(name, from.desc());
    options.bindings.push_back({whole, from});
    options.bindings.push_back({cast(graph, whole, low_dtype_), to});
  };
  if (lowered_ > 0) {  // the arena, padding and all
    round("arena", Tensor({DType::f32, {lowered_}}, parameters_.buffer()), low_parameters_);
  }
  for (const auto& [name, low] : low_views_) {
    if (!gradient_views_.contains(name)) round(name, views_.at(name), low);  // frozen
  }
  Program program = compile(std::move(graph), backend_, options);
  program.run(*stream_);
  backend_.synchronize(*stream_);
}

void Variables::store(Model& model, const std::string& from, const std::string& prefix) const {
  for (auto& [name, tensor] : model.tensors) {
    if (!views_.contains(prefix + name)) continue;
    tensor = Tensor::host(tensor.desc());  // others may share the old one's memory
    const Tensor view = view_of(prefix + name, from);
    backend_.copy(tensor.data(), view.data(), view.bytes(), *stream_);
  }
  backend_.synchronize(*stream_);
}

}  // namespace kd
