#include "distill/teacher_cache.h"

#include <algorithm>
#include <cstring>

#include "core/file.h"
#include "distill/precision.h"
#include "distill/teachers.h"
#include "io/graph_json.h"
#include "io/model_json.h"

namespace kd {
namespace {

std::string hash_text(const std::string& text) { return hash_hex(std::as_bytes(std::span(text))); }

std::string weights_hash(const Model& model) {
  std::string text;
  for (const auto& [name, tensor] : model.tensors) {
    const std::span bytes(tensor.as<std::byte>(), tensor.bytes());
    text += format("{} {} {}\n", name, tensor.desc().str(), hash_hex(bytes));
  }
  return hash_text(text);
}

std::string pictures_hash(const Dataset& data) {
  std::string text;
  for (int64_t i = 0; i < data.size(); ++i) {
    text += std::filesystem::path(data.name(i)).filename().string() + '\n';
  }
  return hash_text(text);
}

// What the teacher sees of row `i`: its pixels, and how they are placed.
uint64_t picture_hash(const Batch& batch, int64_t i) {
  const size_t rows = static_cast<size_t>(batch.labels.elements());
  const size_t each = batch.pixels.bytes() / rows, place = batch.placements.bytes() / rows;
  const auto at = static_cast<size_t>(i);
  const auto pixels = digest({batch.pixels.as<std::byte>() + at * each, each});
  std::vector<std::byte> both(pixels.begin(), pixels.end());
  const std::byte* placement = batch.placements.as<std::byte>() + at * place;
  both.insert(both.end(), placement, placement + place);
  uint64_t word = 0;
  std::memcpy(&word, digest(both).data(), sizeof(word));
  return word;
}

std::filesystem::path folder_of(const RunConfig& stage, const Json& key) {
  if (stage.teacher_cache != "auto") return stage.teacher_cache;
  const std::filesystem::path folder = default_cache_directory();
  if (folder.empty()) {
    fail(ErrorCode::usage, "--teacher-cache auto: neither XDG_CACHE_HOME nor HOME is set");
  }
  return folder / "teachers" / hash_text(key.dump());
}

// The settings of augmentation as the loader takes them.
Json augment_key(const Augment& a) {
  Json key = {{"pad-crop", a.pad_crop},
              {"random-resized-crop", a.random_resized_crop},
              {"flip", a.flip},
              {"colour-jitter", a.brightness},
              {"rand-augment", a.rand_augment},
              {"rand-augment-magnitude", a.rand_augment > 0 ? a.rand_augment_magnitude : 0},
              {"erasing", a.erasing}};
  if (a.jpeg_scaling) key["jpeg-scaling"] = true;  // left out else: caches made before it hold
  return key;
}

}  // namespace

Json cache_key(const Setup& setup, const RunConfig& stage, size_t which) {
  const Model& teacher = setup.teachers.at(which);
  const LoaderOptions loader = training_options(setup, stage);
  const bool random = loader.augment.random();
  Json key = {{"teacher weights", weights_hash(teacher)},
              {"teacher graph", hash_text(graph_to_json(teacher).dump())}};
  const auto add = [&](const std::string& of, const Json& entries) {
    for (const auto& [name, value] : entries.items()) key[of + name] = value;
  };
  add("teacher's ", preprocess_to_json(teacher.preprocess));
  add("pictures' ", {{"resize", loader.preprocess.resize},
                     {"crop", {loader.preprocess.crop_height, loader.preprocess.crop_width}}});
  add("", augment_key(loader.augment));
  key["seed"] = random ? Json(stage.seed) : Json("any");  // without chance none matters
  key["views"] = kept_views(stage);
  key["data"] =
      format("{} pictures, {}", setup.data.train->size(), pictures_hash(*setup.data.train));
  key["cache-format"] = stage.cache_format;
  key["batch-size"] = stage.batch_size;
  key["teacher-precision"] = std::string(name_of(teacher_dtype(stage, *setup.backend)));
  key["tf32"] = stage.precision == "tf32" || stage.teacher_precision == "tf32";
  key["engine"] = setup.backend->describe();
  return key;
}

int64_t first_with_same_pictures(const RunConfig& config, int64_t number) {
  const auto pictures = [&](int64_t i) {
    const RunConfig stage = at_stage(config, i);
    Json key = augment_key(augment_of(stage));
    key["views"] = stage.views;
    return key;
  };
  for (int64_t i = 0; i < number; ++i) {
    if (pictures(i) == pictures(number)) return i;
  }
  return number;
}

TeacherCache::TeacherCache(const Setup& setup, const RunConfig& stage, int64_t first)
    : setup_(setup),
      stage_(stage),
      views_(kept_views(stage)),
      used_(teachers_in_use(stage, setup.teachers.size())),
      stream_(setup.backend->stream(Priority::normal)) {
  check_cacheable(stage);
  for (const int64_t which : used_) {
    const Json key = cache_key(setup, stage, static_cast<size_t>(which));
    const std::string place = first > 0 ? format("stage_{}_", first + 1) : "";
    const LogitFile::Size size{setup.data.train->size(), views_,
                               setup.teachers.at(static_cast<size_t>(which)).classes()};
    const LogitFormat format_of = parse_logit_format(stage.cache_format);
    if (format_of.highest >= size.classes) {
      fail(ErrorCode::usage, "--cache-format {}: the teacher has {} classes", stage.cache_format,
           size.classes);
    }
    files_.emplace_back(folder_of(stage, key) / format("{}teacher_{}.logits", place, which), key,
                        size, format_of);
  }
  workers_.resize(used_.size());
}

TeacherCache::Worker& TeacherCache::worker(size_t teacher, const Shape& pixels) {
  std::unique_ptr<Worker>& made = workers_[teacher];
  if (made) return *made;
  const Model& model = setup_.teachers.at(static_cast<size_t>(used_[teacher]));
  Backend& backend = *setup_.backend;
  Predictor predictor(model, backend, stage_.batch_size,
                      {teacher_dtype(stage_, backend), {}, Mode::inference});
  const ImageFeed::Target target{predictor.images(), model.preprocess};
  const auto count = static_cast<size_t>(predictor.logits().elements());
  made = std::make_unique<Worker>(Worker{std::move(predictor), ImageFeed(backend, pixels, {target}),
                                         std::vector<float>(count)});
  return *made;
}

const std::vector<float>& TeacherCache::computed(const Batch& batch, size_t teacher) {
  Worker& at = worker(teacher, batch.pixels.shape());
  at.feed.upload(batch, *stream_);
  at.feed.place(0, *stream_);
  at.predictor.run(*stream_);
  const Tensor from = at.predictor.logits();
  setup_.backend->copy(at.logits.data(), from.data(), from.bytes(), *stream_);
  setup_.backend->synchronize(*stream_);
  ++teacher_runs_;
  return at.logits;
}

const std::vector<float>* TeacherCache::logits(const Batch& batch, int64_t epoch, size_t teacher,
                                               float* to) {
  LogitFile& file = files_.at(teacher);
  const auto classes = static_cast<size_t>(file.size().classes);
  const auto rows = batch.ids.size();
  const std::vector<float>* made = nullptr;
  for (size_t i = 0; i < rows; ++i) {
    const LogitFile::Slot slot{batch.ids[i], view(epoch)};
    const std::span row(to + i * classes, classes);
    const uint64_t picture = picture_hash(batch, static_cast<int64_t>(i));
    if (file.read(slot, picture, row) == LogitFile::State::present) continue;
    if (made == nullptr) made = &computed(batch, teacher);
    file.write(slot, picture, {made->data() + i * classes, classes});
    KD_CHECK(file.read(slot, picture, row) == LogitFile::State::present,
             "{}: what was written can't be read", file.path().string());
  }
  return made;
}

bool TeacherCache::holds(const Batch& batch, int64_t epoch) const {
  for (const LogitFile& file : files_) {
    std::vector<float> row(static_cast<size_t>(file.size().classes));
    for (size_t i = 0; i < batch.ids.size(); ++i) {
      const uint64_t picture = picture_hash(batch, static_cast<int64_t>(i));
      if (file.read({batch.ids[i], view(epoch)}, picture, row) != LogitFile::State::present) {
        return false;
      }
    }
  }
  return true;
}

void TeacherCache::sync() const {
  for (const LogitFile& file : files_) file.sync();
}

}  // namespace kd
