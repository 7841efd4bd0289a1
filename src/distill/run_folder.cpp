#include "distill/run_folder.h"

#include <fstream>

#include "core/file.h"
#include "io/safetensors.h"

namespace kd {
namespace {

constexpr const char* kCheckpoint = "checkpoint/checkpoint.safetensors";

}  // namespace

Json comparable_settings(const std::string& config_json) {
  Json json = parse_json(config_json, "configuration");
  for (const char* key : {"output", "resume", "workers", "prefetch", "dry-run", "plan-cache",
                          "baseline", "seeds", "profile"})
    json.erase(key);
  // Where logits are kept changes no result, nor does an exact format.
  const bool kept = !json.value("teacher-cache", "").empty();
  if (!kept || json["cache-format"] == "fp32") json.erase("cache-format");
  json.erase("teacher-cache");
  return json;
}

void check_same_settings(const Json& before, const Json& now, const std::string& name) {
  for (const auto& [key, value] : before.items()) {
    if (!now.contains(key) || now.at(key) != value) {
      fail(ErrorCode::usage, "{}: the run was started with --{} {}, not {}", name, key,
           quoted(value), now.contains(key) ? quoted(now.at(key)) : "nothing");
    }
  }
}

bool RunFolder::holds_run(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path / kCheckpoint, error);
}

RunFolder::RunFolder(std::filesystem::path path, bool resume) : path_(std::move(path)) {
  std::error_code error;
  const bool has_run = holds_run(path_);
  if (!resume && has_run) {
    fail(ErrorCode::usage,
         "{}: already holds a run; continue it with --resume, or name another folder",
         path_.string());
  }
  KD_CHECK(!resume || has_run, "{}: holds no checkpoint to resume from", path_.string());
  std::filesystem::create_directories(path_ / "checkpoint", error);
  KD_CHECK(!error, "{}: can't be created: {}", path_.string(), error.message());
  write_file(path_ / ".writable", "");
  std::filesystem::remove(path_ / ".writable", error);
}

void RunFolder::save_checkpoint(const Position& p, const std::map<std::string, Tensor>& tensors,
                                const std::string& config) const {
  const Json position = {{"epoch", p.epoch},         {"step", p.step},
                         {"loss_sum", p.loss_sum},   {"correct", p.correct},
                         {"seconds", p.seconds},     {"term_sums", p.term_sums},
                         {"best_top1", p.best_top1}, {"best_epoch", p.best_epoch},
                         {"skipped", p.skipped},     {"teacher_top1", p.teacher_top1}};
  const Safetensors file{{{"format", "kdengine-checkpoint"},
                          {"position", position.dump()},
                          {"config", comparable_settings(config).dump()}},
                         tensors};
  write_safetensors(file, path_ / kCheckpoint);
}

RunFolder::Checkpoint RunFolder::load_checkpoint(const std::string& config) const {
  const std::string name = (path_ / kCheckpoint).string();
  const Safetensors file = read_safetensors(name);
  KD_CHECK(file.metadata.contains("position") && file.metadata.contains("config"),
           "{}: no checkpoint", name);
  const Json before = parse_json(file.metadata.at("config"), name);
  KD_CHECK(before.is_object(), "{}: 'config' is no object", name);
  check_same_settings(before, comparable_settings(config), name);
  const Json json = parse_json(file.metadata.at("position"), name);
  StrictObject object(json, name);
  Position p;
  p.epoch = object.required<int64_t>("epoch");
  p.step = object.required<int64_t>("step");
  p.loss_sum = object.required<double>("loss_sum");
  p.correct = object.required<double>("correct");
  p.seconds = object.required<double>("seconds");
  p.term_sums = object.required<decltype(p.term_sums)>("term_sums");
  p.best_top1 = object.required<double>("best_top1");
  p.best_epoch = object.required<int64_t>("best_epoch");
  p.skipped = object.required<int64_t>("skipped");
  p.teacher_top1 = object.required<double>("teacher_top1");
  object.finish();
  KD_CHECK(p.epoch >= 0 && p.step >= 0 && p.best_epoch >= 0 && p.skipped >= 0,
           "{}: the position holds a negative count", name);
  return {p, file.tensors};
}

void RunFolder::rewind_metrics(int64_t epoch) {
  metrics_.clear();
  std::ifstream file(path_ / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    const Json json = parse_json(line, "metrics.jsonl");
    KD_CHECK(json.is_object() && json.contains("epoch") && json["epoch"].is_number_integer(),
             "{}: metrics.jsonl: a line without 'epoch'", path_.string());
    if (json["epoch"].get<int64_t>() <= epoch) metrics_.push_back(line);
  }
}

void RunFolder::append_metrics(const EpochReport& r) {
  Json json = {{"epoch", r.epoch}, {"stage", r.stage}, {"lr", r.lr}, {"train_loss", r.train_loss}};
  if (r.train_top1 >= 0) json["train_top1"] = r.train_top1;
  for (const auto& [name, value] : r.terms) json["train_" + name] = value;
  if (r.validated) {
    json["val_loss"] = r.val_loss;
    json["val_top1"] = r.val_top1;
  }
  json["images_per_second"] = r.images_per_second;
  json["data_wait_percent"] = r.wait_percent;
  json["seconds"] = r.seconds;
  metrics_.push_back(json.dump());
  std::string text;
  for (const std::string& line : metrics_) text += line + "\n";
  write_file(path_ / "metrics.jsonl", text);
}

}  // namespace kd
