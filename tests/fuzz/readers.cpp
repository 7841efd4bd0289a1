#include "fuzz/readers.h"

#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "core/json.h"
#include "distill/run_folder.h"
#include "io/onnx/import.h"
#include "kd/config.h"
#include "kd/data.h"
#include "kd/error.h"
#include "kd/model.h"
#include "nn/builder.h"

namespace kd::fuzz {
namespace {

namespace fs = std::filesystem;
using Bytes = std::span<const std::byte>;

// A folder of this process, in memory where there is such a place.
class Scratch {
 public:
  Scratch() {
    std::error_code error;
    const fs::path root =
        fs::is_directory("/dev/shm", error) ? "/dev/shm" : fs::temp_directory_path();
    folder_ = root / ("kd_fuzz_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  ~Scratch() {
    std::error_code error;
    fs::remove_all(folder_, error);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& folder() const { return folder_; }
  fs::path write(const fs::path& name, std::string_view text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }

 private:
  fs::path folder_;
};

const Scratch& scratch() {
  static const Scratch one;
  return one;
}

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void promise(bool kept, const std::string& what) {
  if (!kept) throw std::logic_error(what);
}

// A model that was read can be taken in both forms, and what is written is read again.
void use(const Model& model) {
  for (const Mode mode : {Mode::inference, Mode::training}) {
    try {
      instantiate(model, 2, mode);
    } catch (const Error&) {  // a graph that holds for one picture only
    }
  }
  const fs::path path = scratch().folder() / "written.bin";
  save_model(model, path);
  promise(load_model(path).parameter_count() == model.parameter_count(),
          "a model that was written is read differently");
}

void read_onnx(Bytes bytes) {
  ImportOptions options;
  options.most_computed = 1 << 20;
  use(import_onnx(bytes, scratch().folder(), options));
}

void read_model(Bytes bytes) { use(load_model(scratch().write("model.bin", text_of(bytes)))); }

// The bytes are a checkpoint; what follows a zero line is metrics.jsonl.
void read_checkpoint(Bytes bytes) {
  constexpr std::string_view kMetrics = "#METRICS\n";
  static RunFolder& folder = [&]() -> RunFolder& {
    fs::create_directories(scratch().folder() / "run" / "checkpoint");
    scratch().write("run/checkpoint/checkpoint.safetensors", "");
    static RunFolder made(scratch().folder() / "run", true);
    return made;
  }();
  std::string_view text = text_of(bytes);
  const size_t cut = text.find(kMetrics);
  if (cut != text.npos) {
    scratch().write("run/metrics.jsonl", text.substr(cut + kMetrics.size()));
    text = text.substr(0, cut);
    folder.rewind_metrics(3);
  }
  scratch().write("run/checkpoint/checkpoint.safetensors", text);
  const std::string config = config_to_json({});
  const RunFolder::Checkpoint read = folder.load_checkpoint(config);
  folder.save_checkpoint(read.position, read.tensors, config);
  promise(folder.load_checkpoint(config).tensors.size() == read.tensors.size(),
          "a checkpoint that was written is read differently");
}

void read_recipe(Bytes bytes) {
  RunConfig config;
  read_config(scratch().write("recipe.json", text_of(bytes)), config);
  const std::string text = config_to_json(config);
  RunConfig again;
  read_config(scratch().write("written.json", text), again);
  promise(config_to_json(again) == text, "a recipe that was written is read differently");
  config.student = config.data = config.output = "x";
  override_stages(config, std::vector<std::string>{"lr"});
  check_config(config);
}

void read_student(Bytes bytes) {
  const fs::path path = scratch().write("student.json", text_of(bytes));
  const Model model = read_architecture(path, 0);
  if (model.parameter_count() <= 20000) use(build_model(path, 0, 1));
}

void read_image(Bytes bytes) {
  const fs::path path = scratch().write("picture", text_of(bytes));
  const Image colour = load_image(path, 3);
  promise(colour.pixels.size() == size_t(colour.width) * size_t(colour.height) * 3, "pixels");
  if (colour.pixels.size() > 100000) return;  // once is slow enough
  const Image grey = load_image(path, 1);
  promise(grey.pixels.size() * 3 == colour.pixels.size(), "grey pixels");
  if (grey.pixels.size() < 4096) {
    save_png(colour, scratch().folder() / "written.png");
    promise(load_image(scratch().folder() / "written.png", 3).pixels == colour.pixels, "PNG");
  }
}

std::string gzip(std::string_view text) {
  const fs::path path = scratch().folder() / "packed.gz";
  gzFile file = gzopen(path.c_str(), "wb1");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A file's name without a way out of the folder; "" if there is none left.
std::string inside(std::string_view name) {
  std::string kept;
  for (const char c : name.substr(0, 60)) {
    const bool dots = c == '.' && !kept.empty() && (kept.back() == '.' || kept.back() == '/');
    if (std::isalnum(static_cast<unsigned char>(c)) || (c == '/' && !kept.empty()) || c == '-' ||
        c == '_' || (c == '.' && !kept.empty() && !dots)) {
      kept += c;
    }
  }
  while (!kept.empty() && kept.back() == '/') kept.pop_back();
  return kept;
}

void place(const fs::path& root, const std::string& kind, const fs::path& name, std::string text) {
  std::error_code error;
  if (kind == "FOLDER") {
    fs::create_directories(root / name, error);
    return;
  }
  fs::create_directories((root / name).parent_path(), error);
  if (kind == "LINK") {
    fs::create_directory_symlink(root / inside(text), root / name, error);
  } else {
    std::ofstream(root / name, std::ios::binary) << (kind == "GZIP" ? gzip(text) : text);
  }
}

// Options, then entries "#KIND NAME TIMES\n" + content, which is repeated: KIND is FILE, GZIP
// (packed here), FOLDER or LINK (to the folder that the content names).
void read_dataset(Bytes bytes) {
  const fs::path root = scratch().folder() / "data";
  fs::remove_all(root);
  fs::create_directories(root);
  std::string_view text = text_of(bytes);
  DataOptions options;
  if (!text.empty()) {
    const auto flags = static_cast<unsigned char>(text[0]);
    options.channels = flags & 1 ? 1 : 3;
    options.per_class = flags & 2 ? 1 : 0;
    options.val_split = flags & 4 ? 0.5 : 0;
    options.dev_split = flags & 8 ? 0.5 : 0;
    if (flags & 16) options.extra.push_back(root / "extra");
  }
  for (size_t at = text.find('#'), entries = 0; at != text.npos && entries < 40; ++entries) {
    const size_t line = text.find('\n', at);
    if (line == text.npos) break;
    const size_t next = text.find("\n#", line);
    std::istringstream head{std::string(text.substr(at + 1, line - at - 1))};
    std::string kind, name,
        content(text.substr(line + 1, next == text.npos ? next : next - line - 1));
    size_t times = 1;
    head >> kind >> name >> times;
    std::string whole;
    for (size_t i = 0; i < std::min<size_t>(times, 4096) && whole.size() < 20000; ++i)
      whole += content;
    const std::string safe = inside(name);
    if (!safe.empty()) place(root, kind, safe, kind == "LINK" ? content : whole);
    at = next == text.npos ? next : next + 1;
  }
  const DataSplits splits = open_data(root, options);
  for (const auto& split : {splits.train, splits.val, splits.dev}) {
    if (!split || split->size() == 0) continue;
    const Image image = split->image(split->size() - 1);
    promise(
        image.pixels.size() == size_t(image.width) * size_t(image.height) * size_t(image.channels),
        "pixels");
    promise(split->label(0) < static_cast<int>(std::max<size_t>(1, split->class_names().size())),
            "labels");
  }
}

}  // namespace

const std::vector<Reader>& readers() {
  static const std::vector<Reader> all{
      {"onnx", read_onnx},      {"model", read_model},     {"checkpoint", read_checkpoint},
      {"recipe", read_recipe},  {"student", read_student}, {"image", read_image},
      {"dataset", read_dataset}};
  return all;
}

std::string outcome(const Reader& reader, std::span<const std::byte> bytes) {
  try {
    reader.read(bytes);
    return {};
  } catch (const Error& error) {
    const std::string what = error.what();
    promise(error.code() == ErrorCode::input || error.code() == ErrorCode::usage,
            "an error of another kind: " + what);
    promise(!what.empty(), "an error without a sentence");
    promise(what.size() < 20000, "a sentence of " + std::to_string(what.size()) + " bytes");
    return what;
  }
}

}  // namespace kd::fuzz
