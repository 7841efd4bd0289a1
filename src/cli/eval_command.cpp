// eval: accuracy of a model. mistakes: a picture grid of what it gets wrong.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "cli/commands.h"
#include "distill/evaluate.h"
#include "distill/precision.h"
#include "distill/setup.h"
#include "kd/error.h"
#include "kd/trainer.h"

namespace kd::cli {
namespace {

struct EvalOptions {
  std::string model, data, output, device = "auto", precision = "auto";
  int64_t batch = 100, threads = 0, workers = 2, count = 48;
  double val_split = 0;
};

CLI::App* add(CLI::App& app, EvalOptions& o, const std::string& name, const std::string& help) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("--model", o.model, "a model (.bin)")->required();
  command->add_option("--data", o.data, "folder of data; its validation part is used")->required();
  command->add_option("--batch-size", o.batch, "pictures a step")->check(CLI::Range(1, 100000));
  command->add_option("--device", o.device, "auto, cpu or cuda")->capture_default_str();
  command->add_option("--precision", o.precision, "auto, fp32, tf32, fp16 or bf16")
      ->check(CLI::IsMember(precision_names()));
  command->add_option("--threads", o.threads, "threads that compute; 0 = all cores");
  command->add_option("--workers", o.workers, "threads that load pictures")
      ->check(CLI::Range(1, 1024));
  command->add_option("--val-split", o.val_split, "share of a single folder that is validation");
  return command;
}

struct Session {
  std::unique_ptr<Backend> backend;
  Model model;
  DataSplits data;
  std::unique_ptr<Loader> loader;
};

Session open(const EvalOptions& o) {
  Session s{make_backend(pick_device(o.device, {}), {.threads = static_cast<int>(o.threads)}),
            load_model(o.model),
            {},
            nullptr};
  DataOptions options;
  options.val_split = o.val_split;
  options.channels = s.model.preprocess.channels();
  s.data = open_data(o.data, options);
  const auto classes = static_cast<int64_t>(s.data.val->class_names().size());
  KD_CHECK(s.model.classes() == classes, "the model has {} classes, the data has {}",
           s.model.classes(), classes);
  LoaderOptions loader;
  loader.batch = o.batch;
  loader.preprocess = s.model.preprocess;
  loader.workers = static_cast<int>(o.workers);
  s.loader = std::make_unique<Loader>(s.data.val, loader);
  return s;
}

int evaluate_model(const EvalOptions& o) {
  Session s = open(o);
  Predictor predictor(s.model, *s.backend, o.batch,
                      {dtype_of(o.precision, *s.backend), {}, Mode::inference});
  const Evaluation e = evaluate(predictor, s.model.preprocess, *s.backend, *s.loader);
  std::cout << fmt::format("top-1 {:.2f} %", e.top1_percent());
  if (s.model.classes() > 5) std::cout << fmt::format("  top-5 {:.2f} %", e.top5_percent());
  std::cout << fmt::format("  loss {:.4f}  {} pictures  {:.0f} images/s\n", e.loss, e.count,
                           static_cast<double>(e.count) / e.seconds);
  return 0;
}

struct Mistake {
  int64_t id;
  int label, guess;
};

// Pictures side by side, enlarged to at least 64 pixels, with a red frame.
Image grid_of(const Dataset& data, const std::vector<Mistake>& mistakes, int columns) {
  const Image first = data.image(mistakes.front().id);
  const int scale = std::max(1, 64 / std::max(first.height, first.width)), frame = 2;
  const int cell_h = first.height * scale + 2 * frame, cell_w = first.width * scale + 2 * frame;
  const int rows = (static_cast<int>(mistakes.size()) + columns - 1) / columns;
  Image grid{rows * cell_h, columns * cell_w, 3, {}};
  grid.pixels.assign(static_cast<size_t>(grid.height) * static_cast<size_t>(grid.width) * 3, 255);
  for (size_t i = 0; i < mistakes.size(); ++i) {
    const Image image = data.image(mistakes[i].id);
    const int top = static_cast<int>(i) / columns * cell_h,
              left = static_cast<int>(i) % columns * cell_w;
    for (int y = 0; y < cell_h; ++y) {
      for (int x = 0; x < cell_w; ++x) {
        const int row = (y - frame) / scale, column = (x - frame) / scale;
        const bool inside = y >= frame && x >= frame && row < image.height && column < image.width;
        for (int c = 0; c < 3; ++c) {
          const int from =
              (row * image.width + column) * image.channels + std::min(c, image.channels - 1);
          grid.pixels[static_cast<size_t>(((top + y) * grid.width + left + x) * 3 + c)] =
              inside ? image.pixels[static_cast<size_t>(from)]
                     : (c == 0 ? uint8_t{200} : uint8_t{40});
        }
      }
    }
  }
  return grid;
}

int show_mistakes(const EvalOptions& o) {
  constexpr int kColumns = 8;
  Session s = open(o);
  Predictor predictor(s.model, *s.backend, o.batch,
                      {dtype_of(o.precision, *s.backend), {}, Mode::inference});
  std::vector<Mistake> mistakes;
  const int64_t classes = s.model.classes();
  const auto collect = [&](const Batch& batch, const float* logits) {
    for (int64_t i = 0; i < batch.count; ++i) {
      const float* row = logits + i * classes;
      const int guess = static_cast<int>(std::max_element(row, row + classes) - row);
      const int label = batch.labels.as<int32_t>()[i];
      if (label >= 0 && guess != label)
        mistakes.push_back({batch.ids[static_cast<size_t>(i)], label, guess});
    }
    return static_cast<int64_t>(mistakes.size()) < o.count;
  };
  evaluate(predictor, s.model.preprocess, *s.backend, *s.loader, collect);
  if (mistakes.empty()) {
    std::cout << "no mistakes on the validation pictures\n";
    return 0;
  }
  mistakes.resize(std::min(mistakes.size(), static_cast<size_t>(o.count)));
  save_png(grid_of(*s.data.val, mistakes, kColumns), o.output);
  const auto& names = s.data.val->class_names();
  for (size_t i = 0; i < mistakes.size(); ++i) {
    std::cout << fmt::format("row {} column {}: {} taken for {}\n", i / kColumns + 1,
                             i % kColumns + 1, names[static_cast<size_t>(mistakes[i].label)],
                             names[static_cast<size_t>(mistakes[i].guess)]);
  }
  std::cout << "written to " << o.output << "\n";
  return 0;
}

}  // namespace

Command eval_command(CLI::App& app) {
  auto options = std::make_shared<EvalOptions>();
  return {add(app, *options, "eval", "accuracy of a model on the validation pictures"),
          [options] { return evaluate_model(*options); }};
}

Command mistakes_command(CLI::App& app) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* command = add(app, *options, "mistakes", "a picture grid of what a model gets wrong");
  command->add_option("-o,--output", options->output, "the picture (.png)")->required();
  command->add_option("--count", options->count, "pictures in the grid")
      ->check(CLI::Range(1, 10000));
  return {command, [options] { return show_mistakes(*options); }};
}

}  // namespace kd::cli
