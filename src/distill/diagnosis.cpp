#include "distill/diagnosis.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "distill/image_feed.h"
#include "kd/error.h"

namespace kd {
namespace {

bool is_finite(const Tensor& tensor) {
  const float* from = tensor.as<float>();
  return std::all_of(from, from + tensor.elements(), [](float x) { return std::isfinite(x); });
}

// The student's forward pass as in training, every value kept, with the model's weights.
class Inspection {
 public:
  Inspection(const Model& model, const RunConfig& stage, Backend& backend)
      : backend_(backend), stream_(backend.stream(Priority::normal)) {
    ModelGraph made =
        instantiate(model, stage.batch_size, Mode::training, {.without_dropout = true});
    nodes_ = made.graph.nodes();
    CompileOptions options;
    for (const Node& node : nodes_) options.outputs.push_back(node.outputs[0]);
    std::map<std::string, Value> leaves;
    for (const auto& [name, tensor] : model.tensors) leaves[name] = made.graph.find(name);
    input_ = made.input;
    program_.emplace(compile(std::move(made.graph), backend, options));
    for (const auto& [name, tensor] : model.tensors) {
      backend.copy(program_->tensor(leaves[name]).data(), tensor.data(), tensor.bytes(), *stream_);
    }
    program_->weights_changed();
  }

  // The first layer whose values are not finite, or "".
  std::string first_bad(const Preprocess& preprocess, const Batch& batch) {
    ImageFeed feed(backend_, batch.pixels.shape(), {{program_->tensor(input_), preprocess}});
    Batch plain = batch;
    plain.partners = plain.shares = plain.boxes = {};
    feed.upload(plain, *stream_);
    feed.place(0, *stream_);
    program_->run(*stream_);
    for (const Node& node : nodes_) {
      const Tensor from = program_->tensor(node.outputs[0]), host = Tensor::host(from.desc());
      backend_.copy(host.data(), from.data(), from.bytes(), *stream_);
      backend_.synchronize(*stream_);
      if (!is_finite(host)) return node.name;
    }
    return {};
  }

 private:
  Backend& backend_;
  std::unique_ptr<Stream> stream_;
  std::vector<Node> nodes_;
  Value input_;
  std::optional<Program> program_;
};

}  // namespace

Failure diagnose(const Model& student, const RunConfig& stage, const Variables& weights,
                 Backend& backend, const Batch& batch) {
  Failure failure;
  failure.sample_ids.assign(batch.ids.begin(), batch.ids.end());
  Model now = student;
  weights.store(now);
  for (const auto& [name, tensor] : now.tensors) {
    if (failure.tensor.empty() && !is_finite(tensor)) failure.tensor = name;
  }
  failure.layer = Inspection(now, stage, backend).first_bad(now.preprocess, batch);
  return failure;
}

std::string sentence_of(const Failure& failure) {
  std::string text = format("the loss or its gradient is not finite at step {}", failure.step);
  if (!failure.term.empty()) text += format(", in the term '{}'", failure.term);
  if (!failure.layer.empty()) text += format(", first in the layer '{}'", failure.layer);
  if (!failure.tensor.empty()) text += format(", with the weights '{}' not finite", failure.tensor);
  text += "; pictures";
  for (size_t i = 0; i < failure.sample_ids.size() && i < 8; ++i) {
    text += format(" {}", failure.sample_ids[i]);
  }
  if (failure.sample_ids.size() > 8) text += " ...";
  return text + ": lower --lr or the term's weight, or check the data; the last checkpoint is kept";
}

}  // namespace kd
