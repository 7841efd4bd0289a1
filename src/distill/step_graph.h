// The graph of a training step: the student's forward pass, the objective over it, and the
// gradients of what trains. No device here: a recipe is checked by building these before data is
// read.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kd/backend.h"
#include "kd/config.h"
#include "kd/model.h"

namespace kd {

struct StepModels {
  const Model* student = nullptr;
  std::vector<const Model*> teachers = {};
  std::map<std::string, const Model*> peers = {};  // that terms train, by TermSpec::model
};

struct StepGraphOptions {
  DType dtype = DType::f32;             // of the student's weights and activations
  int64_t population = 1;               // training pictures
  bool labelled = false;                // do any of them have labels?
  const Backend* backend = nullptr;     // for --fusion; without one nothing is fused
  std::vector<std::string> known = {};  // tensors of terms that earlier stages left
};

// A teacher's layer that a term reads.
struct TaughtLayer {
  int64_t teacher = 0;
  Value source;  // in the teacher model's graph
  Value leaf;    // in the step's: f32, the step's batch
};

struct StepGraph {
  Graph graph;
  // Leaves; some may be empty: what no term needs.
  Value input, labels, partner_labels, shares, teacher_logits, ids, all_labels, key, loss_scale,
      row_weights;
  std::vector<Value> graph_weights;  // scalars, beside each of graph_terms; empty: constant
  std::vector<Value>
      replaced;  // scalars, 0 or 1: is the module the student's? empty: no replacement
  std::vector<TaughtLayer> taught;
  // Results.
  Value logits, total, row_terms, correct;
  std::vector<Value> graph_terms;            // scalars, unweighted, in the order of the recipe
  std::vector<Value> parameters, gradients;  // of what trains
  // Of the tensors that are not the student's: adapters, memories.
  std::map<std::string, Tensor> initial;
  std::vector<std::string> adapters;   // a line each, for the plan
  std::vector<std::string> unreached;  // parameters that should train, but no term depends on
};

// `stage`: at_stage() of a run. Throws Error{usage} naming the term and the layer.
StepGraph build_step_graph(const StepModels& models, const RunConfig& stage,
                           const StepGraphOptions& options);

}  // namespace kd
