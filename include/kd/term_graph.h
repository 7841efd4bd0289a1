// What a term that is a graph of ops is built from: the student's logits and layers, a teacher's,
// and adapters that are trained along and never saved with the student. All values are f32 here.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kd/objective.h"

namespace kd {

// A tapped pair: (N, H, W, C) maps or (N, D) rows; the teacher's is an input, without a gradient.
struct Features {
  Value student, teacher;
  std::string name;  // of the pair, for parameters and messages
};

class TermGraph {
 public:
  struct Parts {
    Value student_logits, teacher_logits;  // (N, K); teacher: empty where no term needs one
    Value labels;                          // i32 (N), -1: none; empty where no term needs them
    // Given to terms that need ids.
    Value ids;               // i32 (N), of the training pictures
    Value key;               // i64 (2): seed, step
    Value all_labels;        // i32 (population), of all training pictures; empty: they have none
    int64_t population = 0;  // training pictures
    std::vector<Features> taps;
    Value peer_logits = {};  // (N, K), of the term's own model; empty where it has none
    // Of mixed pictures (kd/mix_ops.h); else empty.
    Value partner_labels = {}, shares = {};
  };
  TermGraph(Graph& graph, const TermDef& def, const TermSpec& spec, Parts parts)
      : graph_(graph), def_(def), spec_(spec), parts_(std::move(parts)) {}

  Graph& graph() { return graph_; }
  const Parts& parts() const { return parts_; }
  const std::vector<Features>& taps() const { return parts_.taps; }
  double param(std::string_view name) const;  // given, or the schema's default
  // What the labels ask of the logits, (N, K): rows of 0 and 1, mixed like the pictures; 0 where
  // there is no label.
  Value targets();
  int64_t batch() const { return graph_.shape(parts_.student_logits)[0]; }

  // A trained tensor of the term's own, "term.<term>.<name>"; initialised like a layer of its use
  // (convolutions and linear layers at random, other vectors 0, or 1 if called "...weight"), or
  // with `value`.
  Value parameter(const std::string& name, const Shape& shape);
  Value parameter(const std::string& name, const Shape& shape, double value);
  // Kept from step to step, updated by ops of the graph: "...": as parameter().
  Value state(const std::string& name, const Tensor& initial);

  // A trained layer with a bias, "<name>.weight" and "<name>.bias", listed in adapters(): a
  // convolution of `window` x `window` (odd) that keeps a map's size, (N, H, W, C) -> (N, H, W,
  // width), or for rows a linear layer, (N, D) -> (N, width).
  Value layer(const std::string& name, Value x, int64_t width, int window = 1);

  // The student's features in the shape of the teacher's: a trained 1x1 convolution (maps) or
  // linear layer (rows), after the larger map is averaged down to the smaller (both, where neither
  // divides the other's size: an Error that names the shapes). With `always` false, the layer is
  // left out where the widths agree.
  Features adapted(const Features& pair, bool always = true);
  // Both maps at the smaller of their sizes.
  Features same_size(const Features& pair);
  // Throws Error{usage} where one of them is no (N, H, W, C).
  void expect_maps(const Features& pair) const;
  // (N, H, W, C) -> (N, H*W*C), rows stay.
  Value rows(Value x);

  // One line for each adapter, for the plan; initial tensors by full name.
  const std::vector<std::string>& adapters() const { return adapters_; }
  const std::map<std::string, Tensor>& initial() const { return initial_; }

 private:
  std::string full(const std::string& name) const;
  Graph& graph_;
  const TermDef& def_;
  const TermSpec& spec_;
  Parts parts_;
  std::vector<std::string> adapters_;
  std::map<std::string, Tensor> initial_;
};

}  // namespace kd
