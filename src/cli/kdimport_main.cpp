// kdimport: an ONNX classifier -> a .bin model, checked against given logits if asked.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/program.h"
#include "core/file.h"
#include "core/json.h"
#include "distill/predictor.h"
#include "io/onnx/import.h"
#include "io/onnx/inspect.h"
#include "kd/error.h"

namespace {

using kd::Json;

struct Options {
  std::string onnx, output, verify, classes_file;
  std::vector<double> mean, std;
  std::string colour, logits;
  int resize = -1;
  std::vector<int> size;
  double tolerance = 1e-4;
  bool inspect = false;
};

std::array<double, 3> three(std::vector<double> values, std::string_view name) {
  if (values.size() == 1) values.assign(3, values[0]);
  KD_CHECK(values.size() == 3, "--{}: {} numbers, expected three", name, values.size());
  return {values[0], values[1], values[2]};
}

// What the flags leave open is taken from the case file, if there is one.
kd::ImportOptions import_options(const Options& o) {
  kd::ImportOptions options;
  options.notice = [](const std::string& text) { std::cout << "note: " << text << "\n"; };
  options.output = o.logits;
  if (!o.colour.empty()) options.colour = o.colour;
  if (o.resize >= 0) options.resize = o.resize;
  if (!o.size.empty()) options.size = {o.size[0], o.size.back()};
  if (!o.verify.empty()) {
    const Json json = kd::read_json(o.verify);
    options.mean = three(json.at("input").at("mean"), "mean");
    options.std = three(json.at("input").at("std"), "std");
    if (json.contains("class_order") && json.at("class_order").is_array()) {
      options.class_names = json.at("class_order").get<std::vector<std::string>>();
    }
  }
  if (!o.mean.empty()) options.mean = three(o.mean, "mean");
  if (!o.std.empty()) options.std = three(o.std, "std");
  if (!o.classes_file.empty()) {
    options.class_names.clear();
    std::ifstream file(o.classes_file);
    KD_CHECK(file.good(), "{}: can't be opened", o.classes_file);
    for (std::string line; std::getline(file, line);) {
      if (!line.empty()) options.class_names.push_back(line);
    }
  }
  return options;
}

// Runs the model on the case's pictures; returns whether the logits agree.
bool verify(const kd::Model& model, const Options& o) {
  const Json parity = kd::read_json(o.verify).at("parity");
  const std::filesystem::path folder = std::filesystem::path(o.verify).parent_path();
  const auto inputs = kd::read_file(folder / parity.at("inputs_u8").get<std::string>());
  const auto expected = kd::read_file(folder / parity.at("expected_f32").get<std::string>());
  const auto shape = parity.at("inputs_u8_shape").get<std::vector<int64_t>>();
  const kd::Preprocess& p = model.preprocess;
  const int64_t count = shape.at(0), each = shape.at(1) * shape.at(2) * shape.at(3),
                k = model.classes();
  KD_CHECK(shape.at(1) == p.crop_height && shape.at(2) == p.crop_width &&
               inputs.size() == static_cast<size_t>(count * each) &&
               expected.size() == static_cast<size_t>(count * k) * sizeof(float),
           "{}: the case's files do not fit the model", o.verify);
  const auto backend = kd::make_backend(kd::Device::cpu);
  const auto stream = backend->stream(kd::Priority::normal);
  kd::Predictor predictor(model, *backend, count);
  const int64_t pixels = each;
  for (int64_t i = 0; i < count; ++i) {
    kd::Image image{p.crop_height, p.crop_width, p.channels(), {}};
    image.pixels.resize(static_cast<size_t>(each));
    std::memcpy(image.pixels.data(), inputs.data() + i * each, static_cast<size_t>(each));
    kd::prepare_image(image, p, predictor.images().as<float>() + i * pixels);
  }
  predictor.run(*stream);
  backend->synchronize(*stream);
  const float* logits = predictor.logits().as<float>();
  double worst = 0, largest = 0;
  int64_t same = 0;
  std::vector<float> wanted(static_cast<size_t>(count * k));
  std::memcpy(wanted.data(), expected.data(), expected.size());
  for (int64_t i = 0; i < count; ++i) {
    const float *ours = logits + i * k, *theirs = wanted.data() + i * k;
    same +=
        std::max_element(ours, ours + k) - ours == std::max_element(theirs, theirs + k) - theirs;
    for (int64_t c = 0; c < k; ++c) {
      const double error = std::abs(static_cast<double>(ours[c]) - theirs[c]);
      worst = error > worst || std::isnan(error) ? error : worst;
      largest = std::max(largest, std::abs(static_cast<double>(theirs[c])));
    }
  }
  std::cout << fmt::format(
      "verify: max abs error {:.3g}, relative {:.3g}, top-1 agrees on {} of {}\n", worst,
      worst / largest, same, count);
  return worst <= o.tolerance;
}

int run(const Options& o) {
  if (o.inspect) {
    kd::ImportOptions options = import_options(o);
    options.notice = {};
    const kd::Inspection inspection = kd::inspect_onnx(o.onnx, options);
    std::cout << kd::table_of(inspection);
    return inspection.problems.empty() ? 0 : static_cast<int>(kd::ErrorCode::input);
  }
  if (o.output.empty()) kd::fail(kd::ErrorCode::usage, "--output is missing: the model to write");
  const kd::Model model = kd::import_onnx(o.onnx, import_options(o));
  const auto& p = model.preprocess;
  std::cout << fmt::format(
      "{}: {} nodes, {} parameters, {} classes, input {} x {} {}, mean {:.4g} {:.4g} {:.4g}, "
      "std {:.4g} {:.4g} {:.4g}\n",
      model.name, model.graph.nodes().size(), model.parameter_count(), model.classes(),
      p.crop_height, p.crop_width, p.colour, p.mean[0], p.mean[1], p.mean[2], p.std[0], p.std[1],
      p.std[2]);
  if (!o.verify.empty() && !verify(model, o)) {
    kd::fail(kd::ErrorCode::input,
             "the logits differ by more than --tolerance {}: nothing was written", o.tolerance);
  }
  kd::save_model(model, o.output);
  std::cout << fmt::format("written to {} ({} KiB)\n", o.output,
                           std::filesystem::file_size(o.output) / 1024);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Imports an ONNX classifier as a kdengine model.", "kdimport");
  Options o;
  app.add_option("onnx", o.onnx, "the ONNX file")->required();
  app.add_option("-o,--output", o.output, "the model to write (.bin)");
  app.add_flag("--inspect", o.inspect,
               "only show what the file is, node by node, and what would not import");
  app.add_option("--verify", o.verify, "JSON case with pictures and the logits they must give");
  app.add_option("--tolerance", o.tolerance, "largest absolute error of a logit for --verify");
  app.add_option("--mean", o.mean, "mean of each channel, r,g,b, of pictures in 0..1")
      ->delimiter(',');
  app.add_option("--std", o.std, "standard deviation of each channel, r,g,b")->delimiter(',');
  app.add_option("--resize", o.resize, "resize the shorter side to this before the centre crop");
  app.add_option("--colour", o.colour, "RGB, BGR or GRAY")
      ->check(CLI::IsMember({"RGB", "BGR", "GRAY"}));
  app.add_option("--classes-file", o.classes_file,
                 "class names, one a line, in the order of the logits");
  app.add_option("--size", o.size,
                 "height,width (or one number) of pictures, if the file leaves it open")
      ->delimiter(',')
      ->expected(1, 2);
  app.add_option("--logits", o.logits, "name of the output, for a graph that has several");
  return kd::cli::run_program(app, argc, argv, [&] { return run(o); });
}
