#include "distill/setup.h"

#include <algorithm>

#include "core/names.h"
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

// One batch feeds both, so both must want the same pictures. A fresh student takes the teacher's
// normalisation.
void agree_on_input(Model& student, const Model& teacher, bool fresh) {
  const Shape &s = student.graph.shape(student.input), &t = teacher.graph.shape(teacher.input);
  KD_CHECK(s == t, "the teacher takes pictures of {}, the student {}", t, s);
  if (fresh) student.preprocess = teacher.preprocess;
  KD_CHECK(student.preprocess == teacher.preprocess,
           "teacher and student differ in preprocessing (mean, std, resize or colour)");
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

Setup set_up(const RunConfig& config, const Watcher& watcher) {
  check_config(config);
  Setup setup;
  setup.backend = make_backend(pick_device(config.device, watcher), engine_options(config));
  student_dtype(config, *setup.backend);  // what the engine can't do is said before data is read
  teacher_dtype(config, *setup.backend);
  pipeline_mode(config, *setup.backend);
  if (!config.teacher.empty()) setup.teacher = load_model(config.teacher);
  const bool fresh = std::filesystem::path(config.student).extension() == ".json";
  const Model probe = load_or_build(config.student, 0, config.seed);
  DataOptions options;
  options.val_split = config.val_split;
  options.per_class = config.train_per_class;
  options.channels = probe.preprocess.channels();
  options.seed = static_cast<uint64_t>(config.seed);
  setup.data = open_data(config.data, options);
  const std::vector<std::string>& names = setup.data.train->class_names();
  const auto classes = static_cast<int64_t>(names.size());
  setup.student =
      fresh ? build_model(config.student, classes, static_cast<uint64_t>(config.seed)) : probe;
  check_classes(setup.student, "student", names);
  setup.student.class_names = names;
  if (setup.teacher) {
    check_classes(*setup.teacher, "teacher", names);
    agree_on_input(setup.student, *setup.teacher, fresh);
  }
  LoaderOptions loader;
  loader.batch = config.batch_size;
  loader.preprocess = setup.student.preprocess;
  loader.seed = static_cast<uint64_t>(config.seed);
  loader.workers = static_cast<int>(config.workers);
  loader.prefetch = static_cast<int>(config.prefetch);
  loader.max_bad_images = config.max_bad_images;
  loader.warn = watcher.note;
  setup.val = loader;
  loader.training = true;
  loader.augment.pad_crop = static_cast<int>(config.pad_crop);
  loader.augment.random_resized_crop = config.random_resized_crop;
  loader.augment.flip = config.flip;
  loader.augment.brightness = loader.augment.contrast = loader.augment.saturation =
      config.colour_jitter;
  setup.train = loader;
  return setup;
}

}  // namespace kd
