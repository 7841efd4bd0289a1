// A model that a term trains beside the student, on the same pictures (TermSpec::model).
#pragma once

#include <map>
#include <string>

#include "kd/config.h"
#include "kd/model.h"

namespace kd {

struct Peer {
  Value logits;                           // f32 (N, K)
  std::map<std::string, Tensor> initial;  // f32, by name in the step's graph
};
// Copies the model's training form into the step's graph, in the type of `pictures`, what the
// student reads. Its parameters and statistics are "<prefix><name>" there. Throws Error{usage}
// where the model takes other pictures.
Peer add_peer(Graph& graph, const Model& model, Value pictures, const std::string& prefix);

// The models that the run's terms train, by path, with the student's class names; what is fresh
// takes its number of classes and its preprocessing, and begins with other weights, whatever the
// seed. Throws Error{usage} where one has other classes or takes other pictures than the student.
std::map<std::string, Model> load_peers(const RunConfig& config, const Model& student);

// "term.mutual.": before the names of the tensors of the term's model.
std::string peer_prefix(const TermSpec& spec);

}  // namespace kd
