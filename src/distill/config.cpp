#include "kd/config.h"

#include <algorithm>

#include "core/json.h"
#include "distill/precision.h"

namespace kd {

std::vector<Setting> settings(RunConfig& c) {
  constexpr double kMany = 1e9;
  return {
      {"teacher", "teacher model (.bin); without one this is plain training", &c.teacher},
      {"student", "student: a .json architecture or a .bin to start from", &c.student},
      {"data", "folder of data", &c.data},
      {"output", "folder of the run", &c.output},
      {"epochs", "passes over the training data", &c.epochs, 1, 1e6},
      {"batch-size", "pictures a step", &c.batch_size, 1, 1e6},
      {"lr", "learning rate (its peak)", &c.lr, 0, 1e3},
      {"opt", "sgd or nesterov", &c.opt},
      {"momentum", "momentum", &c.momentum, 0, 0.9999},
      {"weight-decay", "L2 added to the gradient", &c.weight_decay, 0, 10},
      {"decay-norm-and-bias", "weight decay on batch norm and biases too", &c.decay_norm_and_bias},
      {"sched", "constant, step, cosine or one-cycle", &c.sched},
      {"min-lr", "where cosine ends", &c.min_lr, 0, 1e3},
      {"warmup-epochs", "linear warm-up of constant, step, cosine", &c.warmup_epochs, 0, 1e6},
      {"rise", "one-cycle: share of the steps with a rising rate", &c.rise, 0, 1},
      {"step-epochs", "step: epochs between the drops", &c.step_epochs, 1e-6, 1e6},
      {"step-factor", "step: factor of each drop", &c.step_factor, 0, 1},
      {"loss", "terms and weights, name=weight,...; overrides --alpha", &c.loss},
      {"alpha", "with a teacher: (1-alpha) ce + alpha kl", &c.alpha, 0, 1},
      {"temperature", "T of kl", &c.temperature, 1e-3, 1e3},
      {"label-smoothing", "of ce", &c.label_smoothing, 0, 1},
      {"margin", "m of lse_margin", &c.margin, 1e-3, 1e3},
      {"device", "auto, cpu or cuda", &c.device},
      {"precision", "of the student: auto, fp32, tf32, fp16 or bf16", &c.precision},
      {"teacher-precision", "of the teacher: auto, fp32, tf32, fp16 or bf16", &c.teacher_precision},
      {"pipeline", "auto, serial, streams or graph", &c.pipeline},
      {"fusion", "of the student's layers: auto, plain, f1 or f2", &c.fusion},
      {"loss-scale", "fp16: where the dynamic loss scale begins", &c.loss_scale, 1, 0x1p24},
      {"autotune", "CUDA: time every plan of a convolution and keep the fastest", &c.autotune},
      {"plan-cache", "CUDA: folder of built plans; default: the user's cache folder",
       &c.plan_cache},
      {"workers", "threads that load pictures", &c.workers, 1, 1024},
      {"prefetch", "batches kept ready", &c.prefetch, 1, 1024},
      {"threads", "threads that compute; 0 = all cores", &c.threads, 0, 4096},
      {"seed", "of weights, order and augmentation", &c.seed, 0, 9e15},
      {"val-split", "share of a single folder that becomes validation", &c.val_split, 0, 0.999},
      {"train-per-class", "only the first so many training pictures of each class; 0 = all",
       &c.train_per_class, 0, kMany},
      {"max-bad-images", "unreadable pictures to skip before giving up", &c.max_bad_images, 0,
       kMany},
      {"eval-every", "epochs between validations (the last is always validated)", &c.eval_every, 1,
       1e6},
      {"teacher-min-top1", "stop if the teacher's own top-1 is below this, in percent",
       &c.teacher_min_top1, 0, 100},
      {"pad-crop", "pad by so many pixels, then crop at random", &c.pad_crop, 0, 4096},
      {"random-resized-crop", "crop 8-100 % of the area at random", &c.random_resized_crop},
      {"flip", "probability of a left-right flip", &c.flip, 0, 1},
      {"colour-jitter", "strength of brightness, contrast and saturation jitter", &c.colour_jitter,
       0, 1},
      {"resume", "continue from the checkpoint in --output", &c.resume},
      {"dry-run", "print the plan and stop", &c.dry_run},
  };
}

namespace {

std::vector<std::string> names_of(const std::vector<Setting>& list) {
  std::vector<std::string> names;
  for (const Setting& setting : list) names.push_back(setting.name);
  return names;
}

void assign(const Setting& setting, const Json& value, const std::string& where) {
  const auto wrong = [&](std::string_view expected) {
    fail(ErrorCode::usage, "{}: '{}' is {}, expected {}", where, setting.name, value.dump(),
         expected);
  };
  std::visit(
      [&](auto* place) {
        using T = std::remove_pointer_t<decltype(place)>;
        if constexpr (std::is_same_v<T, std::string>) {
          if (!value.is_string()) wrong("a string");
        } else if constexpr (std::is_same_v<T, bool>) {
          if (!value.is_boolean()) wrong("true or false");
        } else if constexpr (std::is_same_v<T, int64_t>) {
          if (!value.is_number_integer()) wrong("an integer");
        } else {
          if (!value.is_number()) wrong("a number");
        }
        *place = value.get<T>();
      },
      setting.place);
}

void check_bounds(const Setting& setting) {
  double value = 0;
  if (const auto* whole = std::get_if<int64_t*>(&setting.place)) {
    value = static_cast<double>(**whole);
  } else if (const auto* real = std::get_if<double*>(&setting.place)) {
    value = **real;
  } else {
    return;
  }
  if (!(value >= setting.low && value <= setting.high)) {
    fail(ErrorCode::usage, "--{} is {}, expected {} to {}", setting.name, value, setting.low,
         setting.high);
  }
}

void check_choice(const std::string& name, const std::string& value,
                  const std::vector<std::string>& choices) {
  for (const std::string& choice : choices) {
    if (value == choice) return;
  }
  fail(ErrorCode::usage, "--{} is '{}'{}", name, value, suggestion(value, choices));
}

}  // namespace

void read_config(const std::filesystem::path& path, RunConfig& config) {
  const Json json = read_json(path.string());
  if (!json.is_object()) fail(ErrorCode::usage, "{}: expected an object in braces", path.string());
  const std::vector<Setting> list = settings(config);
  for (const auto& [key, value] : json.items()) {
    const auto at = std::ranges::find(list, key, &Setting::name);
    if (at == list.end()) {
      fail(ErrorCode::usage, "{}: unknown key '{}'{}", path.string(), key,
           suggestion(key, names_of(list)));
    }
    assign(*at, value, path.string());
  }
}

std::string config_to_json(const RunConfig& config) {
  RunConfig copy = config;
  Json json = Json::object();
  for (const Setting& setting : settings(copy)) {
    std::visit([&](auto* place) { json[setting.name] = *place; }, setting.place);
  }
  return json.dump(2);
}

void check_config(const RunConfig& config) {
  RunConfig copy = config;
  for (const Setting& setting : settings(copy)) check_bounds(setting);
  check_choice("opt", config.opt, {"sgd", "nesterov"});
  check_choice("sched", config.sched, {"constant", "step", "cosine", "one-cycle"});
  check_choice("device", config.device, {"auto", "cpu", "cuda"});
  check_choice("precision", config.precision, precision_names());
  check_choice("teacher-precision", config.teacher_precision, precision_names());
  check_choice("pipeline", config.pipeline, {"auto", "serial", "streams", "graph"});
  check_choice("fusion", config.fusion, {"auto", "plain", "f1", "f2"});
  const auto required = [](const std::string& value, std::string_view name) {
    if (value.empty()) fail(ErrorCode::usage, "--{} is missing", name);
  };
  required(config.student, "student");
  required(config.data, "data");
  if (!config.dry_run) required(config.output, "output");
  const DistillLossAttrs loss = resolve_objective(loss_terms(config));
  if (needs_teacher(loss) && config.teacher.empty()) {
    fail(ErrorCode::usage, "--loss {} needs a teacher: give --teacher", config.loss);
  }
  if (!needs_teacher(loss) && !config.teacher.empty()) {
    fail(ErrorCode::usage, "--teacher is given, but no term of the loss uses it");
  }
  if (config.opt == "nesterov" && config.momentum == 0) {
    fail(ErrorCode::usage, "--opt nesterov needs --momentum above 0");
  }
}

std::vector<TermSpec> loss_terms(const RunConfig& config) {
  std::vector<TermSpec> terms;
  if (!config.loss.empty()) {
    terms = parse_terms(config.loss);
  } else if (config.teacher.empty()) {
    terms = {{"ce", 1, {}}};
  } else {
    if (config.alpha < 1) terms.push_back({"ce", 1 - config.alpha, {}});
    if (config.alpha > 0) terms.push_back({"kl", config.alpha, {}});
  }
  for (TermSpec& term : terms) {
    if (term.name == "ce") term.params["label_smoothing"] = config.label_smoothing;
    if (term.name == "kl") term.params["temperature"] = config.temperature;
    if (term.name == "lse_margin" || term.name == "lse_margin_literal") {
      term.params["margin"] = config.margin;
    }
  }
  return terms;
}

}  // namespace kd
