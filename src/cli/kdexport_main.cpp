// kdexport: a .bin model -> ONNX, or safetensors with the names of PyTorch.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "cli/program.h"
#include "io/onnx/export.h"
#include "io/torch_names.h"
#include "kd/error.h"
#include "kd/passes.h"

namespace {

struct Options {
  std::string model, output, layout;
  kd::ExportOptions onnx;
  bool fold_bn = false;
};

void write_torch(const Options& o, const kd::Model& model) {
  if (o.layout.empty() || o.fold_bn || o.onnx.fp16 || o.onnx.with_preprocessing) {
    kd::fail(kd::ErrorCode::usage,
             "a .safetensors file takes --layout torchvision or akamaster, and none of the flags "
             "for .onnx");
  }
  kd::export_torch(
      model, o.output,
      o.layout == "akamaster" ? kd::TorchLayout::akamaster : kd::TorchLayout::torchvision);
}

int run(const Options& o) {
  const std::string kind = std::filesystem::path(o.output).extension().string();
  if (kind != ".onnx" && kind != ".safetensors") {
    kd::fail(kd::ErrorCode::usage, "--output {}: expected a name in .onnx or .safetensors",
             o.output);
  }
  const kd::Model model = kd::load_model(o.model);
  if (kind == ".safetensors") {
    write_torch(o, model);
  } else {
    if (!o.layout.empty()) kd::fail(kd::ErrorCode::usage, "--layout is for .safetensors");
    kd::export_onnx(o.fold_bn ? kd::fold_bn(model) : model, o.output, o.onnx);
  }
  std::cout << fmt::format("{}: {} parameters, {} classes, written to {} ({} KiB)\n", model.name,
                           model.parameter_count(), model.classes(), o.output,
                           std::filesystem::file_size(o.output) / 1024);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes a kdengine model as ONNX or with the names of PyTorch.", "kdexport");
  Options o;
  app.add_option("model", o.model, "the model (.bin)")->required();
  app.add_option("-o,--output", o.output, "what to write: .onnx or .safetensors")->required();
  app.add_option("--layout", o.layout, "names in a .safetensors file: torchvision or akamaster")
      ->check(CLI::IsMember({"torchvision", "akamaster"}));
  app.add_flag("--fold-bn", o.fold_bn, "batch norms folded into the convolutions before them");
  app.add_flag("--fp16", o.onnx.fp16, "weights and arithmetic in fp16; input and logits stay fp32");
  app.add_flag("--with-preprocessing", o.onnx.with_preprocessing,
               "take bytes, (batch, H, W, C), RGB or grey, and normalise them in the graph");
  app.add_option("--opset", o.onnx.opset, "17 to 21")->check(CLI::Range(17, 21));
  app.add_option("--static-batch", o.onnx.batch, "fix the batch size")
      ->check(CLI::Range(1, 1 << 20));
  return kd::cli::run_program(app, argc, argv, [&] { return run(o); });
}
