// CIFAR-10/100 binary batches and MNIST-style IDX files (plain or gzip).
#include <zlib.h>

#include <algorithm>
#include <fstream>

#include "core/file.h"
#include "data/dataset.h"
#include "kd/error.h"

namespace kd {
namespace {

namespace fs = std::filesystem;
using Parts = MemoryDataset::Parts;

uint32_t big_endian(const std::vector<uint8_t>& bytes, size_t at) {
  return uint32_t{bytes[at]} << 24 | uint32_t{bytes[at + 1]} << 16 | uint32_t{bytes[at + 2]} << 8 |
         bytes[at + 3];
}

// The bytes that an IDX file's header speaks of: 4, 4 for each dimension, and the values. 0: none
// yet.
uint64_t claimed_bytes(const std::vector<uint8_t>& bytes) {
  const size_t rank = bytes.size() < 4 ? 0 : bytes[3], header = 4 + 4 * rank;
  if (rank < 1 || rank > 3 || bytes.size() < header) return 0;
  uint64_t values = 1;
  for (size_t i = 0; i < rank; ++i) {
    if (__builtin_mul_overflow(values, uint64_t{big_endian(bytes, 4 + 4 * i)}, &values)) return 0;
  }
  return __builtin_add_overflow(values, uint64_t{header}, &values) ? 0 : values;
}

std::vector<uint8_t> read_maybe_gzip(const fs::path& path) {
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> file(gzopen(path.c_str(), "rb"), gzclose);
  KD_CHECK(file, "{}: can't be opened", path.string());
  constexpr unsigned kChunk = 1 << 20;
  std::vector<uint8_t> bytes;
  for (;;) {
    const size_t at = bytes.size();
    bytes.resize(at + kChunk);
    const int got = gzread(file.get(), bytes.data() + at, kChunk);
    int error = Z_OK;
    const char* why = gzerror(file.get(), &error);
    KD_CHECK(got >= 0 && (error == Z_OK || error == Z_STREAM_END), "{}: can't be unpacked: {}",
             path.string(), why);
    bytes.resize(at + static_cast<size_t>(got));
    KD_CHECK(bytes.size() <= size_t{4} << 30, "{}: unpacks to more than 4 GiB", path.string());
    if (got == 0) return bytes;
    KD_CHECK(bytes.size() < kChunk || bytes.size() <= claimed_bytes(bytes),
             "{}: unpacks to more bytes than its header speaks of: not an IDX file, or damaged",
             path.string());
  }
}

// Keeps the first per_class of each class and converts the channels.
std::shared_ptr<const Dataset> finish(Parts parts, int64_t per_class, int channels) {
  const size_t each = static_cast<size_t>(parts.height) * static_cast<size_t>(parts.width) *
                      static_cast<size_t>(parts.channels);
  std::vector<uint8_t> pixels;
  std::vector<int> labels;
  for (const int64_t i : first_per_class(parts.labels, per_class)) {
    const auto begin = parts.pixels.begin() + i * static_cast<int64_t>(each);
    pixels.insert(pixels.end(), begin, begin + static_cast<int64_t>(each));
    labels.push_back(parts.labels[static_cast<size_t>(i)]);
  }
  parts.pixels = convert_channels(std::move(pixels), parts.channels, channels);
  parts.labels = std::move(labels);
  parts.channels = channels;
  return std::make_shared<MemoryDataset>(std::move(parts));
}

std::vector<std::string> read_lines(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

// Records of `label_bytes` labels (the last one counts) and 3 x 32 x 32 planes.
void append_cifar(Parts& parts, const fs::path& path, size_t label_bytes) {
  constexpr size_t kPixels = 1024;
  const std::vector<std::byte> bytes = read_file(path);
  const size_t record = label_bytes + 3 * kPixels;
  KD_CHECK(!bytes.empty() && bytes.size() % record == 0,
           "{}: {} bytes are no whole number of records of {}", path.string(), bytes.size(),
           record);
  for (size_t at = 0; at < bytes.size(); at += record) {
    const int label = static_cast<int>(bytes[at + label_bytes - 1]);
    KD_CHECK(label < static_cast<int>(parts.class_names.size()), "{}: label {} of {} classes",
             path.string(), label, parts.class_names.size());
    parts.labels.push_back(label);
    for (size_t pixel = 0; pixel < kPixels; ++pixel) {
      for (size_t c = 0; c < 3; ++c) {
        parts.pixels.push_back(static_cast<uint8_t>(bytes[at + label_bytes + c * kPixels + pixel]));
      }
    }
  }
}

fs::path idx_file(const fs::path& folder, const std::string& name) {
  for (const char* suffix : {"", ".gz"}) {
    if (fs::exists(folder / (name + suffix))) return folder / (name + suffix);
  }
  fail(ErrorCode::input, "{}: the file {}(.gz) is missing", folder.string(), name);
}

std::vector<std::string> idx_class_names(const fs::path& folder) {
  if (fs::weakly_canonical(folder).string().find("fashion") != std::string::npos) {
    return {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  }
  return {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
}

Parts read_idx(const fs::path& folder, const std::string& prefix) {
  const fs::path image_file = idx_file(folder, prefix + "-images-idx3-ubyte");
  const fs::path label_file = idx_file(folder, prefix + "-labels-idx1-ubyte");
  const std::vector<uint8_t> images = read_maybe_gzip(image_file);
  const std::vector<uint8_t> labels = read_maybe_gzip(label_file);
  KD_CHECK(images.size() >= 16 && big_endian(images, 0) == 0x803, "{}: not an IDX file of pictures",
           image_file.string());
  KD_CHECK(labels.size() >= 8 && big_endian(labels, 0) == 0x801, "{}: not an IDX file of labels",
           label_file.string());
  const uint64_t count = big_endian(images, 4), h = big_endian(images, 8),
                 w = big_endian(images, 12);
  KD_CHECK(h > 0 && w > 0 && h <= 4096 && w <= 4096 && images.size() == 16 + count * h * w,
           "{}: {} bytes, expected {} pictures of {} x {}", image_file.string(), images.size(),
           count, h, w);
  KD_CHECK(big_endian(labels, 4) == count && labels.size() == 8 + count,
           "{}: {} labels for {} pictures", label_file.string(), labels.size() - 8, count);
  Parts parts{image_file.string(),    static_cast<int>(h), static_cast<int>(w), 1, {}, {},
              idx_class_names(folder)};
  parts.pixels.assign(images.begin() + 16, images.end());
  for (size_t i = 8; i < labels.size(); ++i) {
    KD_CHECK(labels[i] < parts.class_names.size(), "{}: label {} of {} classes",
             label_file.string(), int{labels[i]}, parts.class_names.size());
    parts.labels.push_back(labels[i]);
  }
  return parts;
}

}  // namespace

std::optional<DataSplits> open_cifar(const fs::path& path, const DataOptions& options) {
  const bool ten = fs::exists(path / "data_batch_1.bin"), hundred = fs::exists(path / "train.bin");
  if (!ten && !hundred) return std::nullopt;
  std::vector<std::string> train_files{"train.bin"};
  if (ten) {
    train_files.clear();
    for (int i = 1; i <= 5; ++i) train_files.push_back("data_batch_" + std::to_string(i) + ".bin");
  }
  Parts train{path.string(),
              32,
              32,
              3,
              {},
              {},
              read_lines(path / (ten ? "batches.meta.txt" : "fine_label_names.txt"))};
  KD_CHECK(train.class_names.size() == (ten ? 10u : 100u),
           "{}: the file of class names holds {} names", path.string(), train.class_names.size());
  Parts val = train;
  const size_t label_bytes = ten ? 1 : 2;
  for (const std::string& name : train_files) append_cifar(train, path / name, label_bytes);
  append_cifar(val, path / (ten ? "test_batch.bin" : "test.bin"), label_bytes);
  return DataSplits{finish(std::move(train), options.per_class, options.channels),
                    finish(std::move(val), 0, options.channels), "cifar-binary", ""};
}

std::optional<DataSplits> open_idx(const fs::path& path, const DataOptions& options) {
  const fs::path first = path / "train-images-idx3-ubyte";
  if (!fs::exists(first) && !fs::exists(first.string() + ".gz")) return std::nullopt;
  return DataSplits{finish(read_idx(path, "train"), options.per_class, options.channels),
                    finish(read_idx(path, "t10k"), 0, options.channels), "idx", ""};
}

}  // namespace kd
