#include "distill/setup.h"

#include <algorithm>
#include <cmath>

#include "core/names.h"
#include "distill/peer.h"
#include "distill/precision.h"
#include "distill/training_step.h"
#include "io/finite.h"
#include "kd/error.h"
#include "kd/surgery.h"

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

void check_classes(const Model& student, const std::vector<std::string>& names) {
  const auto count = static_cast<int64_t>(names.size());
  KD_CHECK(student.classes() == count,
           "the student has {} classes, the data has {}; --new-head gives it a new classifier",
           student.classes(), count);
  for (size_t i = 0; i < student.class_names.size(); ++i) {
    KD_CHECK(student.class_names[i] == names[i],
             "class {} is '{}' to the student, '{}' in the data", i, student.class_names[i],
             names[i]);
  }
}

// The preprocessing with the model's own size: the same part of a picture is seen.
Preprocess at_size_of(const Model& model, Preprocess p) {
  const Shape& s = model.graph.shape(model.input);
  const double side = std::min(p.crop_height, p.crop_width);
  const auto own_side = static_cast<double>(std::min(s[1], s[2]));
  p.resize = static_cast<int>(std::lround(p.resize * own_side / side));
  p.crop_height = static_cast<int>(s[1]);
  p.crop_width = static_cast<int>(s[2]);
  return p;
}

// A fresh student takes the first teacher's normalisation. Teachers may differ in mean, std and
// colour, each has its pictures normalised its own way, and in size: then theirs are made of the
// student's. Those of the same size must have been made of the same part of a picture.
void agree_on_input(Model& student, const std::vector<Model>& teachers, bool fresh) {
  const Shape& s = student.graph.shape(student.input);
  if (fresh && !teachers.empty()) {
    student.preprocess = at_size_of(student, teachers[0].preprocess);
  }
  for (const Model& teacher : teachers) {
    const Shape& t = teacher.graph.shape(teacher.input);
    KD_CHECK(s[3] == t[3], "the teacher takes pictures of {}, the student {}: other channels", t,
             s);
    KD_CHECK(s != t || student.preprocess.resize == teacher.preprocess.resize,
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
  StepModels models{assistant ? &*assistant : &student, {}};
  for (const Model& teacher : teachers) models.teachers.push_back(&teacher);
  for (const auto& [path, peer] : peers) models.peers[path] = &peer;
  return models;
}

LoaderOptions training_options(const Setup& setup, const RunConfig& stage) {
  LoaderOptions loader = setup.train;
  loader.augment = augment_of(stage);
  loader.views = stage.views;
  return loader;
}

void begin_stage(Setup& setup, const RunConfig& stage) {
  if (!stage.assistant.empty()) {
    Model assistant = load_or_build(stage.assistant, setup.student.classes(), stage.seed);
    assistant.preprocess = at_size_of(assistant, setup.student.preprocess);
    assistant.class_names = setup.student.class_names;
    setup.assistant = std::move(assistant);
  }
  if (!stage.new_head) return;
  const std::vector<std::string> names = setup.student.class_names;
  const auto count = names.empty() ? setup.student.classes() : static_cast<int64_t>(names.size());
  setup.student = replace_head(setup.student, {.classes = count,
                                               .hidden = stage.head_hidden,
                                               .dropout = stage.head_dropout,
                                               .seed = static_cast<uint64_t>(stage.seed)});
  setup.student.class_names = names;
}

void end_stage(Setup& setup) {
  if (setup.assistant) setup.teachers.push_back(std::move(*setup.assistant));
  setup.assistant.reset();
}

std::vector<int32_t> labels_of(const Dataset& data) {
  std::vector<int32_t> labels;
  bool any = false;
  for (int64_t i = 0; i < data.size(); ++i) {
    const int label = data.label(i);
    any = any || label >= 0;
    labels.push_back(label >= 0 ? label : static_cast<int32_t>(-1 - i));
  }
  return any ? labels : std::vector<int32_t>{};
}

namespace {

// Builds every stage's graph: layers, shapes and adapters that do not fit are said before data is
// read.
void check_stages(const RunConfig& config, const Setup& setup) {
  Setup probe;
  probe.student = setup.student;
  probe.teachers = setup.teachers;
  probe.peers = setup.peers;
  for (int64_t i = 0; i < stage_count(config); ++i) {
    const RunConfig stage = at_stage(config, i);
    try {
      begin_stage(probe, stage);
      build_step_graph(
          probe.models(), stage,
          {.dtype = student_dtype(stage, *setup.backend), .backend = setup.backend.get()});
      end_stage(probe);
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

DataSplits open_splits(const RunConfig& config, const Model& student) {
  DataOptions options;
  options.val_split = config.val_split;
  options.dev_split = config.dev_split;
  options.extra.assign(config.extra.begin(), config.extra.end());
  options.per_class = config.train_per_class;
  options.channels = student.preprocess.channels();
  options.seed = static_cast<uint64_t>(config.seed);
  return open_data(config.data, options);
}

void take_from_teacher(Setup& setup, const Watcher& watcher) {
  const std::vector<std::string> taken = take_weights(setup.student, setup.teachers.at(0));
  if (taken.empty()) fail(ErrorCode::usage, "--init-from-teacher: no tensor of the teacher fits");
  std::string list;
  for (const std::string& name : taken) list += (list.empty() ? "" : ", ") + name;
  if (watcher.note) {
    watcher.note(format("taken from the teacher, {} of {} tensors: {}", taken.size(),
                        setup.student.tensors.size(), list));
  }
}

// The student and the teachers in the data's classes.
void agree_on_classes(Setup& setup, const RunConfig& config, bool fresh) {
  const std::vector<std::string>& names = setup.data.train->class_names();
  if (names.empty()) {
    setup.student.class_names =
        setup.teachers.empty() ? setup.student.class_names : setup.teachers[0].class_names;
    return;  // no labels: the teacher's classes
  }
  const auto classes = static_cast<int64_t>(names.size());
  if (fresh && setup.student.classes() != classes) {
    const Preprocess preprocess = setup.student.preprocess;
    setup.student = build_model(config.student, classes, static_cast<uint64_t>(config.seed));
    setup.student.preprocess = preprocess;
  }
  if (!at_stage(config, 0).new_head) check_classes(setup.student, names);
  setup.student.class_names = names;
  for (Model& teacher : setup.teachers) teacher = select_classes(teacher, names, "teacher");
}

}  // namespace

namespace {

void warn_of_numbers(const Setup& setup, const Watcher& watcher) {
  if (!watcher.note) return;
  std::vector<const Model*> models{&setup.student};
  for (const Model& teacher : setup.teachers) models.push_back(&teacher);
  for (const Model* model : models) {
    const std::string warning = not_finite(*model);
    if (!warning.empty()) watcher.note("warning: " + warning);
  }
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
  warn_of_numbers(setup, watcher);
  agree_on_input(setup.student, setup.teachers, fresh);
  if (!fresh && !setup.student.class_names.empty() && !at_stage(config, 0).new_head) {
    for (Model& teacher : setup.teachers) {
      teacher = select_classes(teacher, setup.student.class_names, "teacher");
    }
  }
  setup.peers = load_peers(config, setup.student);
  check_stages(config, setup);
  setup.data = open_splits(config, setup.student);
  agree_on_classes(setup, config, fresh);
  setup.peers = load_peers(config, setup.student);  // now with the data's classes
  if (config.init_from_teacher) take_from_teacher(setup, watcher);
  setup.val = setup.train = loader_options(config, setup.student, watcher);
  setup.train.training = true;
  return setup;
}

}  // namespace kd
