// Every setting: its name, what it is for, where it lives, its bounds.
#include <algorithm>
#include <iterator>

#include "kd/config.h"

namespace kd {

namespace {

constexpr double kMany = 1e9;

// What is learned, from whom.
std::vector<Setting> objective_settings(StageConfig& c) {
  return {
      {"name", "of the stage, in messages and metrics", &c.name},
      {"epochs", "passes over the training data", &c.epochs, 1, 1e6},
      {"loss", "terms and weights, name=weight,...; overrides --alpha", &c.loss},
      {"alpha", "with a teacher: (1-alpha) ce + alpha kl", &c.alpha, 0, 1},
      {"temperature", "T of kl", &c.temperature, 1e-3, 1e3},
      {"label-smoothing", "of ce", &c.label_smoothing, 0, 1},
      {"margin", "m of lse_margin", &c.margin, 1e-3, 1e3},
      {"use-teachers", "which of several teachers teach, from 0; default: all", &c.use_teachers, 0,
       kMany},
      {"teacher-mix",
       "of several teachers: mean of logits, probabilities or, by confidence of each "
       "picture, confidence",
       &c.teacher_mix},
      {"teacher-weights", "of the mix, one for each teacher; default: alike", &c.teacher_weights, 0,
       kMany},
      {"teacher-join", "epoch of the stage at which each teacher joins; default: 0",
       &c.teacher_join, 0, kMany},
      {"teacher-mode", "batch norm of the teachers: eval, or train (by the batch)",
       &c.teacher_mode},
      {"replace-from", "module replacement: probability of the student's modules at the first step",
       &c.replace_from, 0, 1},
      {"replace-to", "... and at the last; both 0: no replacement", &c.replace_to, 0, 1},
      {"assistant", "architecture that trains in this stage in the student's place, then teaches",
       &c.assistant},
  };
}

// How weights change.
std::vector<Setting> optimizer_settings(StageConfig& c) {
  return {
      {"opt", "sgd, nesterov, adagrad, rmsprop, adam, adamw or lamb", &c.opt},
      {"momentum", "of sgd, nesterov", &c.momentum, 0, 0.9999},
      {"beta1", "of adam, adamw, lamb", &c.beta1, 0, 0.99999},
      {"beta2", "of adam, adamw, lamb", &c.beta2, 0, 0.9999999},
      {"epsilon", "of adagrad, rmsprop, adam, adamw, lamb", &c.epsilon, 1e-30, 1},
      {"rms-decay", "of rmsprop's mean of squares", &c.rms_decay, 0, 0.9999999},
      {"lr", "learning rate (its peak)", &c.lr, 0, 1e3},
      {"sched", "constant, step, multi-step, cosine or one-cycle", &c.sched},
      {"milestones", "multi-step: epochs of the drops", &c.milestones, 0, 1e6},
      {"min-lr", "where cosine ends", &c.min_lr, 0, 1e3},
      {"warmup-epochs", "linear warm-up (not of one-cycle, which has its own)", &c.warmup_epochs, 0,
       1e6},
      {"rise", "one-cycle: share of the steps with a rising rate", &c.rise, 0, 1},
      {"step-epochs", "step: epochs between the drops", &c.step_epochs, 1e-6, 1e6},
      {"step-factor", "step, multi-step: factor of each drop", &c.step_factor, 0, 1},
      {"lr-scale", "layer=factor of the learning rate, by path with * and ?", &c.lr_scale},
      {"accumulate", "batches an update", &c.accumulate, 1, 1e6},
      {"clip-norm", "most L2 norm of the whole gradient; 0 = any", &c.clip_norm, 0, 1e9},
      {"ema", "decay of a moving average of the weights, which is then validated and saved", &c.ema,
       0, 0.9999999},
  };
}

// What keeps weights in bounds, and which of them train.
std::vector<Setting> regulariser_settings(StageConfig& c) {
  return {
      {"weight-decay", "L2 added to the gradient (adamw, lamb: to the step)", &c.weight_decay, 0,
       10},
      {"decay-norm-and-bias", "weight decay on batch norm and biases too", &c.decay_norm_and_bias},
      {"l1", "L1 beside it: elastic net", &c.l1, 0, 10},
      {"l2-start", "L2 towards the weights at the stage's start", &c.l2_start, 0, 1e3},
      {"max-norm", "most L2 norm of an output unit's weights; 0 = any", &c.max_norm, 0, 1e6},
      {"gradient-penalty", "weight of 1/2 |d loss / d pictures|^2", &c.gradient_penalty, 0, 1e6},
      {"train", "layers that train, by path with * and ?; default: all", &c.train},
      {"freeze", "layers that do not", &c.freeze},
      {"new-head", "a new classifier on the student's features", &c.new_head},
      {"head-hidden", "widths of hidden layers in the new head", &c.head_hidden, 1, 1e6},
      {"head-dropout", "dropout before each layer of the new head", &c.head_dropout, 0, 0.999},
  };
}

// What happens to pictures.
std::vector<Setting> augment_settings(StageConfig& c) {
  return {
      {"pad-crop", "pad by so many pixels, then crop at random", &c.pad_crop, 0, 4096},
      {"random-resized-crop", "crop 8-100 % of the area at random", &c.random_resized_crop},
      {"jpeg-scaling", "decode large JPEG files at a fraction of their size: faster, other bytes",
       &c.jpeg_scaling},
      {"flip", "probability of a left-right flip", &c.flip, 0, 1},
      {"colour-jitter", "strength of brightness, contrast and saturation jitter", &c.colour_jitter,
       0, 1},
      {"rand-augment", "RandAugment: operations one after another", &c.rand_augment, 0, 14},
      {"rand-augment-magnitude", "of them, 0 to 30", &c.rand_augment_magnitude, 0, 30},
      {"erasing", "probability of a random erased rectangle", &c.erasing, 0, 1},
      {"mixup", "alpha of Beta(alpha, alpha); 0 = off", &c.mixup, 0, 1e3},
      {"cutmix", "alpha of Beta(alpha, alpha); 0 = off", &c.cutmix, 0, 1e3},
      {"mix-probability", "of a batch being mixed at all", &c.mix_probability, 0, 1},
      {"views", "augmented views of each picture, shown in turn; 0 = a new one each epoch",
       &c.views, 0, 1e6},
  };
}

}  // namespace

std::vector<Setting> stage_settings(StageConfig& c) {
  std::vector<Setting> all = objective_settings(c);
  for (const auto& part : {optimizer_settings, regulariser_settings, augment_settings}) {
    std::ranges::move(part(c), std::back_inserter(all));
  }
  return all;
}

std::vector<Setting> settings(RunConfig& c) {
  std::vector<Setting> all{
      {"teacher", "teacher model (.bin), once for each; without one this is plain training",
       &c.teacher},
      {"student", "student: a .json architecture or a .bin to start from", &c.student},
      {"data", "folder of data, or a set packed by kdpack", &c.data},
      {"output", "folder of the run", &c.output},
      {"batch-size", "pictures a step", &c.batch_size, 1, 1e6},
      {"device", "auto, cpu or cuda", &c.device},
      {"precision", "of the student: auto, fp32, tf32, fp16 or bf16", &c.precision},
      {"teacher-precision", "of the teacher: auto, fp32, tf32, fp16 or bf16", &c.teacher_precision},
      {"pipeline", "auto, serial, streams or graph", &c.pipeline},
      {"fusion", "of the student's layers: auto, plain, f1 or f2", &c.fusion},
      {"loss-scale", "fp16: where the dynamic loss scale begins", &c.loss_scale, 1, 0x1p24},
      {"autotune", "CUDA: time every plan of a convolution and keep the fastest", &c.autotune},
      {"plan-cache", "CUDA: folder of built plans; default: the user's cache folder",
       &c.plan_cache},
      {"teacher-cache", "folder that keeps the teachers' logits, or auto; needs --views",
       &c.teacher_cache},
      {"cache-format",
       "of the logits kept: fp32, fp16, or top8: the 8 highest, and the rest's mass",
       &c.cache_format},
      {"workers", "threads that load pictures", &c.workers, 1, 1024},
      {"prefetch", "batches kept ready", &c.prefetch, 1, 1024},
      {"threads", "threads that compute; 0 = all cores", &c.threads, 0, 4096},
      {"seed", "of weights, order and augmentation", &c.seed, 0, 9e15},
      {"val-split", "share of a single folder that becomes validation", &c.val_split, 0, 0.999},
      {"dev-split", "share of the training pictures that the best epoch is chosen by", &c.dev_split,
       0, 0.9},
      {"extra", "further folder of training pictures, without labels or of the same classes",
       &c.extra},
      {"init-from-teacher", "begin with the first teacher's weights where shapes agree",
       &c.init_from_teacher},
      {"baseline", "train the same student without a teacher, too", &c.baseline},
      {"seeds", "runs, with this seed and those after it", &c.seeds, 1, 1000},
      {"train-per-class", "only the first so many training pictures of each class; 0 = all",
       &c.train_per_class, 0, kMany},
      {"max-bad-images", "unreadable pictures to skip before giving up", &c.max_bad_images, 0,
       kMany},
      {"eval-every", "epochs between validations (the last is always validated)", &c.eval_every, 1,
       1e6},
      {"teacher-min-top1", "stop if a teacher's own top-1 is below this, in percent",
       &c.teacher_min_top1, 0, 100},
      {"resume", "continue from the checkpoint in --output", &c.resume},
      {"dry-run", "print the plan and stop", &c.dry_run},
      {"profile", "time ten steps layer by layer: a table, and trace.json in --output", &c.profile},
  };
  std::ranges::move(stage_settings(c), std::back_inserter(all));
  return all;
}

}  // namespace kd
