// What a stage trains, in device memory: f32 parameters and velocity in flat arenas of one layout,
// gradients beside them; running statistics and frozen parameters apart. A parameter is a view.
// Each begins at a multiple of 64 elements; the padding between is 0 and stays so.
//
// With 16-bit training the first `lowered()` elements also have 16-bit copies, which the network
// computes with, and 16-bit gradients; the others (batch norm, biases) have f32 gradients.
#pragma once

#include <map>
#include <span>
#include <string>

#include "kd/backend.h"
#include "kd/model.h"
#include "kd/program.h"

namespace kd {

class Variables {
 public:
  // `graph` is the step's: its parameters and states begin as `initial`, by name; a parameter that
  // is 16-bit there gets a copy; those that are not in `trained` are frozen.
  // Decayed parameters come first: all of them, or (decay_all false) those of rank 2 and more.
  Variables(const Graph& graph, std::span<const Value> trained,
            const std::map<std::string, Tensor>& initial, Backend& backend, bool decay_all);

  Tensor parameters() const { return parameters_; }          // f32 (P)
  Tensor velocity() const { return velocity_; }              // f32 (P)
  Tensor gradients() const { return gradients_; }            // f32 (P - lowered)
  Tensor low_parameters() const { return low_parameters_; }  // 16-bit (lowered); empty in f32
  Tensor low_gradients() const { return low_gradients_; }
  int64_t decayed() const { return decayed_; }    // elements
  int64_t lowered() const { return lowered_; }    // elements
  DType low_dtype() const { return low_dtype_; }  // of the copies; f32: there are none

  // Binds the leaves of a graph that have the model's names; and their gradients.
  std::vector<Binding> bind(const Graph& graph) const;
  Tensor gradient(const std::string& name) const;

  // Parameters, running statistics and velocity ("velocity"), device <-> host.
  std::map<std::string, Tensor> fetch() const;
  void restore(const std::map<std::string, Tensor>& host);  // throws Error naming what is missing
  // Device -> those of model.tensors that are here, as "<prefix><name>".
  void store(Model& model, const std::string& prefix = {}) const;

 private:
  void plan(const Graph& graph, std::span<const Value> trained, bool decay_all);
  void allocate(const Graph& graph);
  void place_trained();
  void refresh_low();  // 16-bit copies from the parameters

  Backend& backend_;
  std::unique_ptr<Stream> stream_;
  std::vector<std::string> order_;  // of the parameters in the arenas
  Tensor parameters_, gradients_, velocity_, low_parameters_, low_gradients_;
  int64_t decayed_ = 0, lowered_ = 0, total_ = 0;
  DType low_dtype_ = DType::f32;
  std::map<std::string, TensorDesc> descs_;
  std::map<std::string, Tensor> views_, low_views_, gradient_views_;
};

}  // namespace kd
