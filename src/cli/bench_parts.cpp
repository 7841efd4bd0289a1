#include "cli/bench_parts.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/stop_watch.h"
#include "io/safetensors.h"
#include "kd/error.h"
#include "kd/random.h"
#include "kd/trainer.h"

namespace kd::cli {
namespace {

const std::vector<float> kRates{0.01F};

Batch random_batch(const Model& model, int64_t size) {
  Batch batch = make_batch(model.preprocess, size);
  RandomSequence random(1, Purpose::shuffle, 0, 0);
  for (int64_t i = 0; i < batch.pixels.elements(); ++i) {
    batch.pixels.as<uint8_t>()[i] = static_cast<uint8_t>(random.below(256));
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
    const DistillLoss loss =
        distill_loss(graph, {.student = student, .teacher = teacher, .labels = labels}, attrs);
    return {loss.total, loss.terms, loss.dlogits};
  };
}

// Pictures of bytes become the network's input, as a step does it.
Isolated::Build input_alone(const Batch& batch, const TensorDesc& input) {
  return [pixels = batch.pixels.desc(), placements = batch.placements.desc(),
          input](Graph& graph) -> std::vector<Value> {
    const ImagesAttrs attrs{{static_cast<int>(input.shape[1]), static_cast<int>(input.shape[2])},
                            static_cast<int>(input.shape[3]),
                            input.dtype};
    return {place_images(graph, graph.input("pixels", pixels),
                         graph.input("placements", placements),
                         graph.input("table", {DType::f32, {pixels.shape[3], 257}}), attrs)};
  };
}

}  // namespace

Parts::Parts(const BenchOptions& o)
    : backend_(open_engine(o)),
      teacher_(load_or_build(o.teacher, 0, 1)),
      student_(load_or_build(o.student, teacher_.classes(), 2)) {
  config_.batch_size = o.batch;
  config_.teacher = {o.teacher};  // the loss follows it
  config_.precision = o.precision;
  config_.teacher_precision = o.teacher_precision;
  config_.pipeline = o.pipeline;
  config_.loss_scale = 1024;  // so that no first step is skipped
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
  whole_.emplace(plain_setup(student_, &teacher_, config_, kRates), *backend_);
}

double Parts::loss() {
  const StepResult result = whole_->run(batch_);
  loss_scale_ = result.loss_scale;
  return result.loss;
}

double Parts::squares(const Tensor& gradients) {
  if (!gradients) return 0;
  const Tensor host = Tensor::host(gradients.desc());
  backend_->copy(host.data(), gradients.data(), host.bytes(), whole_->stream());
  backend_->synchronize(whole_->stream());
  const DType dtype = host.desc().dtype;
  double sum = 0;
  for (int64_t i = 0; i < host.elements(); ++i) {
    const float value = dtype == DType::f32   ? host.as<float>()[i]
                        : dtype == DType::f16 ? f16_to_f32(host.as<uint16_t>()[i])
                                              : bf16_to_f32(host.as<uint16_t>()[i]);
    sum += static_cast<double>(value) * value;
  }
  return sum;
}

double Parts::gradient_norm() {
  const Variables& variables = whole_->variables();
  return std::sqrt(squares(variables.gradients()) + squares(variables.low_gradients())) /
         loss_scale_;
}

// The batch as the network sees it: f32 (batch, H, W, C).
Tensor Parts::network_input() const {
  Preprocess p = student_.preprocess;
  p.resize = 0;  // the pixels are at the network's size already
  const Shape& shape = batch_.pixels.shape();
  Tensor images = Tensor::host({DType::f32, shape});
  const int64_t each = images.elements() / shape[0];
  for (int64_t i = 0; i < shape[0]; ++i) {
    Image image{p.crop_height, p.crop_width, p.channels(), {}};
    const auto* pixels = batch_.pixels.as<uint8_t>() + i * each;
    image.pixels.assign(pixels, pixels + each);
    prepare_image(image, p, images.as<float>() + i * each);
  }
  return images;
}

void Parts::save(const std::filesystem::path& folder) const {
  save_model(teacher_, folder / "teacher.bin");
  save_model(student_, folder / "student.bin");
  write_safetensors({{}, {{"images", network_input()}, {"labels", batch_.labels}}},
                    folder / "batch.bin");
}

Isolated::Build Parts::build_of(const std::string& part) const {
  const DistillLossAttrs loss = resolve_objective(loss_terms(config_));
  if (part == "loss")
    return loss_alone({DType::f32, {config_.batch_size, student_.classes()}}, loss);
  if (part == "input") return input_alone(batch_, whole_->programs().images().desc());
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

// Batches are fed one behind the other, as in training, and the last is waited for.
double Parts::measure_step(TrainingStep& step, int64_t runs) {
  return seconds_of([&] {
    for (int64_t i = 0; i < runs; ++i) {
      step.feed(batch_);
      while (step.result()) continue;
    }
    step.flush();
    while (step.result()) continue;
  });
}

double Parts::measure(const std::string& part, int64_t runs) {
  if (part == "step") return measure_step(*whole_, runs);
  if (part == "student") {
    if (!alone_) {
      RunConfig plain = config_;
      plain.teacher.clear();
      alone_.emplace(plain_setup(student_, nullptr, plain, kRates), *backend_);
    }
    return measure_step(*alone_, runs);
  }
  if (part == "teacher" || part == "optimizer") {
    Program& program = part == "teacher" ? whole_->teachers()->predictors()[0].program()
                                         : whole_->programs().update();
    return seconds_of([&] {
      for (int64_t i = 0; i < runs; ++i) program.run(whole_->stream());
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
