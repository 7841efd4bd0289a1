// What a stage trains, in device memory: f32 parameters in a flat arena, gradients and what the
// optimiser keeps in others of its layout; running statistics and frozen parameters apart. A
// parameter is a view.
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
  struct Options {
    // Decayed parameters come first: all of them, or (false) those of rank 2 and more.
    bool decay_all = true;
    // Further f32 (P) arenas by name: "start" and "average" begin as the parameters, others at 0.
    std::vector<std::string> arenas = {};
  };
  // `graph` is the step's: its parameters and states begin as `initial`, by name; a parameter that
  // is 16-bit there gets a copy; those that are not in `trained` are frozen.
  Variables(const Graph& graph, std::span<const Value> trained,
            const std::map<std::string, Tensor>& initial, Backend& backend, const Options& options);

  Tensor parameters() const { return parameters_; }                         // f32 (P)
  Tensor arena(const std::string& name) const { return arenas_.at(name); }  // f32 (P)
  Tensor gradients() const { return gradients_; }                           // f32 (P - lowered)
  Tensor low_parameters() const { return low_parameters_; }  // 16-bit (lowered); empty in f32
  Tensor low_gradients() const { return low_gradients_; }
  int64_t decayed() const { return decayed_; }    // elements
  int64_t lowered() const { return lowered_; }    // elements
  DType low_dtype() const { return low_dtype_; }  // of the copies; f32: there are none

  // Trained parameters, in the order of the arenas.
  const std::vector<std::string>& trained() const { return order_; }
  int64_t offset(const std::string& name) const { return offsets_.at(name); }  // elements
  Tensor parameter(const std::string& name) const { return views_.at(name); }
  Tensor low_parameter(const std::string& name) const;  // empty if it has no 16-bit copy
  Tensor gradient(const std::string& name) const;

  // Binds the leaves of a graph that have names of parameters and states. With `from`, trained
  // parameters are those of that arena, in f32.
  std::vector<Binding> bind(const Graph& graph, const std::string& from = {}) const;

  // Parameters, states and the arenas ("arena.<name>"), device <-> host.
  std::map<std::string, Tensor> fetch() const;
  void restore(const std::map<std::string, Tensor>& host);  // throws Error naming what is missing
  // Device -> those of model.tensors that are here, as "<prefix><name>"; trained ones from an
  // arena, if named.
  void store(Model& model, const std::string& from = {}, const std::string& prefix = {}) const;

 private:
  void plan(const Graph& graph, std::span<const Value> trained, bool decay_all);
  void allocate(const Graph& graph, const Options& options);
  void place_trained();
  void fill_arenas(std::map<std::string, Tensor>& initial) const;
  void refresh_low();  // 16-bit copies from the parameters
  Tensor view_of(const std::string& name, const std::string& from) const;

  Backend& backend_;
  std::unique_ptr<Stream> stream_;
  std::vector<std::string> order_;  // of the parameters in the arenas
  Tensor parameters_, gradients_, low_parameters_, low_gradients_;
  std::map<std::string, Tensor> arenas_;
  int64_t decayed_ = 0, lowered_ = 0, total_ = 0;
  DType low_dtype_ = DType::f32;
  std::map<std::string, TensorDesc> descs_;
  std::map<std::string, int64_t> offsets_;
  std::map<std::string, Tensor> views_, low_views_, gradient_views_;
};

}  // namespace kd
