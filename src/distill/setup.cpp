#include "distill/setup.h"

#include <algorithm>

#include "core/names.h"
#include "distill/peer.h"
#include "distill/precision.h"
#include "distill/training_step.h"
#include "kd/error.h"

namespace kd {

Device pick_device(const std::string& name, const Watcher& watcher) {
  const std::vector<std::string> names{"auto", "cpu", "cuda"};
  if (std::ranges::find(names, name) == names.end()) {
    fail(ErrorCode::usage, "--device is '{}'{}", name, suggestion(name, names));
  }
  if (name == "cpu") return Device::cpu;
  const std::string why = why_unavailable(Device::cuda);
  if (why.empty()) return Device::cuda;
  if (name == "cuda") fail(ErrorCode::device, "--device cuda: {}", why);
  if (watcher.note) watcher.note("device: cpu (" + why.substr(0, why.find(';')) + ")");
  return Device::cpu;
}

Model load_or_build(const std::string& path, int64_t classes, int64_t seed) {
  const bool is_json = std::filesystem::path(path).extension() == ".json";
  return is_json ? build_model(path, classes, static_cast<uint64_t>(seed)) : load_model(path);
}

namespace {

void check_classes(const Model& model, const std::string& who,
                   const std::vector<std::string>& names) {
  const auto count = static_cast<int64_t>(names.size());
  KD_CHECK(model.classes() == count, "the {} has {} classes, the data has {}", who, model.classes(),
           count);
  for (size_t i = 0; i < model.class_names.size(); ++i) {
    KD_CHECK(model.class_names[i] == names[i], "class {} is '{}' to the {}, '{}' in the data", i,
             model.class_names[i], who, names[i]);
  }
}

// A fresh student takes the first teacher's normalisation. Teachers may differ in mean, std and
// colour, each has its pictures normalised its own way; not in how pictures are resized.
void agree_on_input(Model& student, const std::vector<Model>& teachers, bool fresh) {
  const Shape& s = student.graph.shape(student.input);
  if (fresh && !teachers.empty()) student.preprocess = teachers[0].preprocess;
  for (const Model& teacher : teachers) {
    const Shape& t = teacher.graph.shape(teacher.input);
    KD_CHECK(s == t, "the teacher takes pictures of {}, the student {}", t, s);
    KD_CHECK(student.preprocess.resize == teacher.preprocess.resize,
             "the teacher resizes pictures to {}, the student to {}", teacher.preprocess.resize,
             student.preprocess.resize);
  }
}

EngineOptions engine_options(const RunConfig& config) {
  EngineOptions options;
  options.threads = static_cast<int>(config.threads);
  options.allow_tf32 = config.precision == "tf32" || config.teacher_precision == "tf32";
  options.autotune = config.autotune;
  options.plan_cache = config.plan_cache;
  return options;
}

}  // namespace

StepModels Setup::models() const {
  StepModels models{&student, {}};
  for (const Model& teacher : teachers) models.teachers.push_back(&teacher);
  for (const auto& [path, peer] : peers) models.peers[path] = &peer;
  return models;
}

LoaderOptions training_options(const Setup& setup, const RunConfig& stage) {
  LoaderOptions loader = setup.train;
  loader.augment.pad_crop = static_cast<int>(stage.pad_crop);
  loader.augment.random_resized_crop = stage.random_resized_crop;
  loader.augment.flip = stage.flip;
  loader.augment.rand_augment = static_cast<int>(stage.rand_augment);
  loader.augment.rand_augment_magnitude = stage.rand_augment_magnitude;
  loader.augment.erasing = stage.erasing;
  loader.augment.mixup = stage.mixup;
  loader.augment.cutmix = stage.cutmix;
  loader.augment.mix_probability = stage.mix_probability;
  loader.augment.brightness = loader.augment.contrast = loader.augment.saturation =
      stage.colour_jitter;
  return loader;
}

namespace {

// Builds every stage's graph: layers, shapes and adapters that do not fit are said before data is
// read.
void check_stages(const RunConfig& config, const StepModels& models, const Backend& backend) {
  for (int64_t i = 0; i < stage_count(config); ++i) {
    const RunConfig stage = at_stage(config, i);
    try {
      build_step_graph(models, stage, {student_dtype(stage, backend), 1, &backend});
    } catch (const Error& error) {
      if (config.stages.empty()) throw;
      throw Error(error.code(), format("{}: {}", stage.name, error.what()));
    }
  }
}

LoaderOptions loader_options(const RunConfig& config, const Model& student,
                             const Watcher& watcher) {
  LoaderOptions loader;
  loader.batch = config.batch_size;
  loader.preprocess = student.preprocess;
  loader.seed = static_cast<uint64_t>(config.seed);
  loader.workers = static_cast<int>(config.workers);
  loader.prefetch = static_cast<int>(config.prefetch);
  loader.max_bad_images = config.max_bad_images;
  loader.warn = watcher.note;
  return loader;
}

}  // namespace

Setup set_up(const RunConfig& config, const Watcher& watcher) {
  check_config(config);
  Setup setup;
  setup.backend = make_backend(pick_device(config.device, watcher), engine_options(config));
  student_dtype(config, *setup.backend);  // what the engine can't do is said before data is read
  teacher_dtype(config, *setup.backend);
  pipeline_mode(config, *setup.backend);
  for (const std::string& path : config.teacher) setup.teachers.push_back(load_model(path));
  const bool fresh = std::filesystem::path(config.student).extension() == ".json";
  const int64_t taught_classes = setup.teachers.empty() ? 0 : setup.teachers[0].classes();
  setup.student = load_or_build(config.student, taught_classes, config.seed);
  agree_on_input(setup.student, setup.teachers, fresh);
  setup.peers = load_peers(config, setup.student);
  check_stages(config, setup.models(), *setup.backend);
  DataOptions options;
  options.val_split = config.val_split;
  options.dev_split = config.dev_split;
  options.extra.assign(config.extra.begin(), config.extra.end());
  options.per_class = config.train_per_class;
  options.channels = setup.student.preprocess.channels();
  options.seed = static_cast<uint64_t>(config.seed);
  setup.data = open_data(config.data, options);
  const std::vector<std::string>& names = setup.data.train->class_names();
  const auto classes = static_cast<int64_t>(names.size());
  if (fresh && setup.student.classes() != classes) {
    const Preprocess preprocess = setup.student.preprocess;
    setup.student = build_model(config.student, classes, static_cast<uint64_t>(config.seed));
    setup.student.preprocess = preprocess;
  }
  check_classes(setup.student, "student", names);
  setup.student.class_names = names;
  setup.peers = load_peers(config, setup.student);  // now with the data's classes
  for (const Model& teacher : setup.teachers) check_classes(teacher, "teacher", names);
  setup.val = setup.train = loader_options(config, setup.student, watcher);
  setup.train.training = true;
  return setup;
}

}  // namespace kd
