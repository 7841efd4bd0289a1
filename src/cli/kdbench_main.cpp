// kdbench: times kernels alone, the parts of a training step, the nodes of its programs, the
// loader.
#include "cli/bench.h"
#include "cli/program.h"

namespace kd::cli {
namespace {

void add_engine(CLI::App& command, BenchOptions& o) {
  command.add_option("--device", o.device, "cpu or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command.add_option("--threads", o.threads, "threads that compute on the CPU; 0 = all cores");
  command.add_flag("--autotune", o.autotune, "cuda: time every plan of a convolution first");
}

CLI::App* add_models(CLI::App& app, BenchOptions& o, const std::string& name,
                     const std::string& help) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("--teacher", o.teacher, "a model (.bin) or an architecture (.json)")
      ->required();
  command->add_option("--student", o.student, "a model (.bin) or an architecture (.json)")
      ->required();
  command->add_option("--batch-size", o.batch, "pictures a step")->check(CLI::Range(1, 100000));
  command->add_option("--precision", o.precision, "of the student: auto, fp32, tf32, fp16, bf16");
  command->add_option("--teacher-precision", o.teacher_precision, "likewise");
  command->add_option("--pipeline", o.pipeline, "auto, serial, streams or graph");
  command->add_option("--rounds", o.rounds, "rounds; medians are shown")
      ->check(CLI::Range(1, 1000));
  add_engine(*command, o);
  return command;
}

CLI::App* add_kernels(CLI::App& app, BenchOptions& o) {
  CLI::App* command = app.add_subcommand(
      "kernels", "every op alone, its bytes and FLOPs a second, beside the machine's copy speed");
  command->add_option("--filter", o.filter, "only names that this regular expression finds");
  command->add_option("--dtype", o.dtype, "f32, f16, bf16; default f32, on cuda f16");
  command->add_option("--image-batch", o.image_batch,
                      "pictures of 224 x 224; default 16, on cuda 256");
  command->add_option("--seconds", o.seconds, "timed, for each kernel")
      ->check(CLI::Range(0.001, 60.0))
      ->capture_default_str();
  command->add_option("--memory", o.memory_gib,
                      "GiB; what takes more is left out; default 0.5, on cuda 16");
  command->add_option("-o,--output", o.output, "write the results as JSON");
  command->add_flag("--list", o.list, "only print the names");
  add_engine(*command, o);
  return command;
}

CLI::App* add_loader(CLI::App& app, BenchOptions& o) {
  CLI::App* command = app.add_subcommand(
      "loader", "pictures to batches with nothing behind; long, it shows that memory stays flat");
  command->add_option("--data", o.data, "a folder of data, or a packed set")->required();
  command->add_option("--workers", o.workers, "threads that load")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--batch-size", o.batch, "pictures a batch")->check(CLI::Range(1, 100000));
  command->add_option("--crop", o.crop, "height and width of the network's input")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--resize", o.resize, "resize the shorter side first; 0: to the crop")
      ->check(CLI::Range(0, 65536));
  command->add_option("--pad-crop", o.pad_crop, "pixels a crop may move")
      ->check(CLI::Range(0, 4096));
  command->add_flag("--random-resized-crop", o.random_resized_crop, "instead of resize and crop");
  command->add_flag("--jpeg-scaling", o.jpeg_scaling, "as in training");
  command->add_flag("--evaluation", o.evaluation, "validation pictures, in order, nothing drawn");
  command->add_option("--val-split", o.val_split, "share of one folder that is validation");
  command->add_option("--rounds", o.rounds, "rounds; medians are shown")
      ->check(CLI::Range(1, 100000));
  command->add_option("--seconds", o.seconds, "of a round")->check(CLI::Range(0.001, 3600.0));
  command->add_option("-o,--output", o.output, "write the results as JSON");
  return command;
}

}  // namespace
}  // namespace kd::cli

int main(int argc, char** argv) {
  using namespace kd::cli;
  CLI::App app("Times kernels, and the parts of a distillation step.", "kdbench");
  app.require_subcommand(1);
  BenchOptions options;
  CLI::App* kernels = add_kernels(app, options);
  CLI::App* step = add_models(app, options, "step", "the whole step, and its parts alone");
  step->add_option("--repeats", options.repeats, "runs of a part in a round; default 3, on cuda 30")
      ->check(CLI::Range(1, 1000));
  step->add_option("-o,--output", options.output, "write the results as JSON");
  step->add_option("--save", options.save, "with --serve: a folder for the models and the batch");
  step->add_flag("--serve", options.serve, "read 'PART REPEATS' lines, answer with seconds");
  CLI::App* nodes = add_models(app, options, "nodes", "every node of a step, against the roof");
  nodes->add_option("-o,--output", options.output, "write a trace for chrome://tracing");
  const CLI::App* loader = add_loader(app, options);
  return run_program(app, argc, argv, [&] {
    if (loader->parsed()) return bench_loader(options);
    if (kernels->parsed()) return bench_kernels(options);
    return step->parsed() ? bench_step(options) : bench_nodes(options);
  });
}
