#include "cli/bench_parts.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "io/safetensors.h"
#include "kd/error.h"
#include "kd/random.h"
#include "kd/trainer.h"

namespace kd::cli {
namespace {

constexpr double kLearningRate = 0.01;

Batch random_batch(const Model& model, int64_t size) {
  const Shape& one = model.graph.shape(model.input);
  Batch batch;
  batch.images = Tensor::host({DType::f32, {size, one[1], one[2], one[3]}});
  batch.labels = Tensor::host({DType::i32, {size}});
  batch.count = size;
  RandomSequence random(1, Purpose::shuffle, 0, 0);
  for (int64_t i = 0; i < batch.images.elements(); ++i) {
    batch.images.as<float>()[i] = 2 * static_cast<float>(random.uniform()) - 1;
  }
  for (int64_t i = 0; i < size; ++i) {
    batch.labels.as<int32_t>()[i] =
        static_cast<int32_t>(random.below(static_cast<uint32_t>(model.classes())));
  }
  return batch;
}

Isolated::Build loss_alone(const TensorDesc& logits, const DistillLossAttrs& attrs) {
  return [=, batch = logits.shape[0]](Graph& graph) -> std::vector<Value> {
    const Value student = graph.input("student", logits), teacher = graph.input("teacher", logits);
    const Value labels = graph.input("labels", {DType::i32, {batch}});
    const DistillLoss loss = distill_loss(graph, student, teacher, labels, attrs);
    return {loss.total, loss.terms, loss.dlogits};
  };
}

Isolated::Build optimizer_alone(const Model& model, const SgdAttrs& attrs) {
  return [elements = model.parameter_count(), attrs](Graph& graph) -> std::vector<Value> {
    const TensorDesc flat{DType::f32, {elements}};
    const Value w = graph.parameter("w", flat), g = graph.input("g", flat),
                v = graph.state("v", flat);
    sgd_update(graph, w, g, v, graph.input("lr", {DType::f32, {1}}), attrs);
    return {};
  };
}

Isolated::Build input_alone(const Model& model, int64_t batch) {
  return [one = model.graph.shape(model.input), batch](Graph& graph) -> std::vector<Value> {
    const Value pixels = graph.input("pixels", {DType::u8, {batch, one[1], one[2], one[3]}});
    const Value placements = graph.input("placements", {DType::i32, {batch, 3}});
    const Value table = graph.input("table", {DType::f32, {one[3], 257}});
    const ImagesAttrs attrs{
        {static_cast<int>(one[1]), static_cast<int>(one[2])}, static_cast<int>(one[3]), DType::f32};
    return {place_images(graph, pixels, placements, table, attrs)};
  };
}

}  // namespace

Parts::Parts(const BenchOptions& o)
    : backend_(open_engine(o)),
      teacher_(load_or_build(o.teacher, 0, 1)),
      student_(load_or_build(o.student, teacher_.classes(), 2)) {
  config_.batch_size = o.batch;
  config_.teacher = o.teacher;  // the loss follows it
  batch_ = random_batch(student_, o.batch);
  restart();
}

const std::vector<std::string>& Parts::names() {
  static const std::vector<std::string> all{"step", "teacher",   "student",
                                            "loss", "optimizer", "input"};
  return all;
}

void Parts::restart() {
  whole_.reset();  // before the new one: not the memory of both
  whole_.emplace(student_, &teacher_, config_, *backend_);
}

double Parts::loss(int64_t step) { return whole_->run(batch_, kLearningRate, step).loss; }

double Parts::gradient_norm() {
  const Tensor gradients = whole_->variables().gradients();
  const Tensor host = Tensor::host(gradients.desc());
  backend_->copy(host.data(), gradients.data(), host.bytes(), whole_->stream());
  backend_->synchronize(whole_->stream());
  double squares = 0;
  for (int64_t i = 0; i < host.elements(); ++i) {
    squares += std::pow(static_cast<double>(host.as<float>()[i]), 2);
  }
  return std::sqrt(squares);
}

void Parts::save(const std::filesystem::path& folder) const {
  save_model(teacher_, folder / "teacher.bin");
  save_model(student_, folder / "student.bin");
  write_safetensors({{}, {{"images", batch_.images}, {"labels", batch_.labels}}},
                    folder / "batch.bin");
}

Isolated::Build Parts::build_of(const std::string& part) const {
  const DistillLossAttrs loss = resolve_objective(loss_terms(config_));
  if (part == "loss")
    return loss_alone({DType::f32, {config_.batch_size, student_.classes()}}, loss);
  if (part == "input") return input_alone(student_, config_.batch_size);
  if (part == "optimizer") {
    const bool nesterov = config_.opt == "nesterov";
    return optimizer_alone(
        student_, {config_.momentum, config_.weight_decay, nesterov, student_.parameter_count()});
  }
  std::istringstream words(part);
  std::string name, dtype = "f32";
  int64_t classes = 0, batch = 0;
  char slash = 0;
  std::getline(words, name, '/');
  KD_CHECK(name == "loss" && words >> classes >> slash >> batch && slash == '/' && classes > 0 &&
               batch > 0,
           "no part '{}'; valid: step, teacher, student, loss, optimizer, input, loss/K/B, "
           "loss/K/B/DTYPE",
           part);
  if (words >> slash) words >> dtype;
  return loss_alone({dtype_from_name(dtype), {batch, classes}}, loss);
}

Isolated& Parts::isolated(const std::string& part) {
  const auto at = isolated_.find(part);
  if (at != isolated_.end()) return at->second;
  return isolated_.try_emplace(part, build_of(part), *backend_).first->second;
}

double Parts::measure_step(TrainingStep& step, int64_t runs) {
  return seconds_of([&] {
    for (int64_t i = 0; i < runs; ++i) step.run(batch_, kLearningRate, 0);
  });
}

double Parts::measure(const std::string& part, int64_t runs) {
  if (part == "step") return measure_step(*whole_, runs);
  if (part == "student") {
    if (!alone_) {
      RunConfig plain = config_;
      plain.teacher.clear();
      alone_.emplace(student_, nullptr, plain, *backend_);
    }
    return measure_step(*alone_, runs);
  }
  if (part == "teacher") {
    return seconds_of([&] {
      for (int64_t i = 0; i < runs; ++i) whole_->teacher()->run(whole_->stream());
      backend_->synchronize(whole_->stream());
    });
  }
  return isolated(part).seconds(runs);
}

std::vector<double> Parts::seconds(const std::string& part, int64_t repeats) {
  if (backend_->device() == Device::cuda) {
    return {measure(part, repeats) / static_cast<double>(repeats)};
  }
  std::vector<double> each;
  for (int64_t i = 0; i < repeats; ++i) each.push_back(measure(part, 1));
  return each;
}

}  // namespace kd::cli
