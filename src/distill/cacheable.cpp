#include "distill/cacheable.h"

#include <algorithm>

#include "io/logit_file.h"
#include "kd/error.h"
#include "kd/objective.h"

namespace kd {

Augment augment_of(const StageConfig& stage) {
  Augment augment;
  augment.pad_crop = static_cast<int>(stage.pad_crop);
  augment.random_resized_crop = stage.random_resized_crop;
  augment.jpeg_scaling = stage.jpeg_scaling;
  augment.flip = stage.flip;
  augment.rand_augment = static_cast<int>(stage.rand_augment);
  augment.rand_augment_magnitude = stage.rand_augment_magnitude;
  augment.erasing = stage.erasing;
  augment.mixup = stage.mixup;
  augment.cutmix = stage.cutmix;
  augment.mix_probability = stage.mix_probability;
  augment.brightness = augment.contrast = augment.saturation = stage.colour_jitter;
  return augment;
}

int64_t kept_views(const StageConfig& stage) {
  return augment_of(stage).random() ? std::max<int64_t>(1, stage.views) : 1;
}

bool uses_cache(const RunConfig& stage) {
  return !stage.teacher_cache.empty() && needs_teacher(loss_terms(stage));
}

void check_cacheable(const RunConfig& stage) {
  parse_logit_format(stage.cache_format);
  if (!uses_cache(stage)) return;
  for (const TermSpec& spec : loss_terms(stage)) {
    const TermDef& def = term(spec.name);
    if (!def.needs_teacher || def.most_taps == 0) continue;
    fail(ErrorCode::usage,
         "--teacher-cache keeps logits only, but the loss term '{}' reads layers of the teacher",
         spec.name);
  }
  for (const auto& [name, alpha] : {std::pair{"mixup", stage.mixup}, {"cutmix", stage.cutmix}}) {
    if (alpha <= 0) continue;
    fail(ErrorCode::usage, "--teacher-cache does not go with --{} {}: mixed pictures never recur",
         name, alpha);
  }
  if (stage.teacher_mode == "train") {
    fail(ErrorCode::usage,
         "--teacher-cache does not go with --teacher-mode train: logits depend on the batch");
  }
  if (stage.views == 0 && augment_of(stage).random()) {
    fail(ErrorCode::usage,
         "--teacher-cache needs --views N: with new random pictures in each epoch no logits would "
         "be used twice");
  }
}

}  // namespace kd
