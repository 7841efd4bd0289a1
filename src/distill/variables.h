// A student's weights in device memory: parameters, gradients and velocity in flat arenas of one
// layout, running statistics beside them. A parameter is a view.
#pragma once

#include <map>
#include <string>

#include "kd/backend.h"
#include "kd/model.h"
#include "kd/program.h"

namespace kd {

class Variables {
 public:
  // Decayed parameters come first: all of them, or (decay_all false) those of rank 2 and more.
  Variables(const Model& model, Backend& backend, bool decay_all);

  Tensor parameters() const { return parameters_; }  // (P) each
  Tensor gradients() const { return gradients_; }
  Tensor velocity() const { return velocity_; }
  int64_t decayed() const { return decayed_; }  // elements

  // Binds the leaves of a graph that have the model's names; and their gradients.
  std::vector<Binding> bind(const Graph& graph) const;
  Tensor gradient(const std::string& name) const;

  void store(Model& model) const;                                 // device -> model.tensors
  std::map<std::string, Tensor> state() const { return views_; }  // parameters and statistics

 private:
  Tensor parameters_, gradients_, velocity_;
  int64_t decayed_ = 0;
  std::map<std::string, Tensor> views_, gradient_views_;
};

}  // namespace kd
