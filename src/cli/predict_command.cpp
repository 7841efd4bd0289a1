// predict: the likeliest classes of pictures.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>

#include "cli/commands.h"
#include "core/file.h"
#include "distill/image_feed.h"
#include "distill/precision.h"
#include "distill/predictor.h"
#include "distill/setup.h"
#include "kd/error.h"

namespace kd::cli {
namespace {

struct PredictOptions {
  std::string model, device = "auto", logits;
  std::vector<std::string> pictures;
  int64_t top = 5;
};

Batch batch_of_one(const Image& picture, const Preprocess& p) {
  const StagedImage staged = stage_image(picture, p);
  Batch batch = make_batch(p, 1);
  std::ranges::copy(staged.image.pixels, batch.pixels.as<uint8_t>());
  const int32_t place[] = {staged.place.top, staged.place.left, 0};
  std::ranges::copy(place, batch.placements.as<int32_t>());
  return batch;
}

// f32 (pictures, classes) in NumPy's format, version 1.0.
void write_npy(const std::string& path, const std::vector<float>& values, size_t columns) {
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
                  values.size() / columns, columns);
  header.resize((header.size() + 10) / 64 * 64 + 64 - 10 - 1, ' ');
  header += '\n';
  const auto length = static_cast<uint16_t>(header.size());
  FileWriter writer(path);
  writer.write(std::string_view("\x93NUMPY\x01\x00", 8));
  writer.write(&length, sizeof(length));
  writer.write(header);
  writer.write(values.data(), values.size() * sizeof(float));
  writer.commit();
}

int predict(const PredictOptions& o) {
  const Model model = load_model(o.model);
  const auto backend = make_backend(pick_device(o.device, {}));
  const auto stream = backend->stream(Priority::normal);
  Predictor predictor(model, *backend, 1, {dtype_of("auto", *backend), {}, Mode::inference});
  ImageFeed feed(*backend, make_batch(model.preprocess, 1).pixels.shape(),
                 {{predictor.images(), model.preprocess}});
  const auto classes = static_cast<size_t>(model.classes());
  std::vector<float> logits(classes), all;
  for (const std::string& picture : o.pictures) {
    feed.upload(batch_of_one(load_image(picture, model.preprocess.channels()), model.preprocess),
                *stream);
    feed.place(0, *stream);
    predictor.run(*stream);
    backend->copy(logits.data(), predictor.logits().data(), predictor.logits().bytes(), *stream);
    backend->synchronize(*stream);
    if (!o.logits.empty()) {
      all.insert(all.end(), logits.begin(), logits.end());
      continue;
    }
    std::vector<size_t> order(classes);
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, [&](size_t a, size_t b) { return logits[a] > logits[b]; });
    double sum = 0;
    for (size_t k = 0; k < classes; ++k) sum += std::exp(double{logits[k]} - logits[order[0]]);
    std::cout << picture << "\n";
    for (size_t i = 0; i < std::min(classes, static_cast<size_t>(o.top)); ++i) {
      const size_t k = order[i];
      const std::string name = model.class_names.empty() ? std::to_string(k) : model.class_names[k];
      std::cout << fmt::format("  {:6.2f} %  {}\n",
                               100 * std::exp(double{logits[k]} - logits[order[0]]) / sum, name);
    }
  }
  if (!o.logits.empty()) write_npy(o.logits, all, classes);
  return 0;
}

}  // namespace

Command predict_command(CLI::App& app) {
  auto options = std::make_shared<PredictOptions>();
  CLI::App* command = app.add_subcommand("predict", "the likeliest classes of pictures");
  command->add_option("--model", options->model, "a model (.bin)")->required();
  command->add_option("--device", options->device, "auto, cpu or cuda")->capture_default_str();
  command->add_option("--top", options->top, "classes to show")->check(CLI::Range(1, 1000000));
  command->add_option("--logits", options->logits,
                      "write the logits there (.npy, pictures x classes) and print nothing");
  command->add_option("pictures", options->pictures, "picture files")->required();
  return {command, [options] { return predict(*options); }};
}

}  // namespace kd::cli
