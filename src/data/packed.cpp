// Packed sets as data sets, and verifying them.
#include "data/dataset.h"
#include "data/image.h"
#include "data/pack_file.h"
#include "kd/error.h"
#include "kd/pack.h"

namespace kd {
namespace {

class PackedDataset final : public Dataset {
 public:
  // Pictures [first, first + count) of the file.
  struct Part {
    int64_t first, count;
  };
  PackedDataset(std::shared_ptr<const PackFile> file, Part part, int channels)
      : file_(std::move(file)), part_(part), channels_(channels) {}
  int64_t size() const override { return part_.count; }
  int label(int64_t index) const override { return file_->record(part_.first + index).label; }
  std::string name(int64_t index) const override { return file_->name(part_.first + index); }
  int channels() const override { return channels_; }
  const std::vector<std::string>& class_names() const override { return file_->metadata().classes; }

  // Pixels are those of the mapped file.
  Picture picture(int64_t index) const override {
    const PackRecord& r = file_->record(part_.first + index);
    const std::span<const std::byte> bytes = file_->bytes(part_.first + index);
    const auto height = static_cast<int>(r.height), width = static_cast<int>(r.width);
    if (r.encoding == PackEncoding::jpeg) {
      Picture picture = picture_of_jpeg(bytes, name(index), channels_);
      KD_CHECK(picture.height == height && picture.width == width,
               "{}: a JPEG of {} x {} pixels, the index says {} x {}", name(index), picture.height,
               picture.width, height, width);
      return picture;
    }
    const std::span<const uint8_t> pixels(reinterpret_cast<const uint8_t*>(bytes.data()),
                                          bytes.size());
    if (r.channels == channels_) return {height, width, channels_, pixels, {}};
    Image stored{height, width, r.channels, {pixels.begin(), pixels.end()}};
    return owning(convert_channels(std::move(stored), channels_));
  }

 private:
  std::shared_ptr<const PackFile> file_;
  Part part_;
  int channels_;
};

}  // namespace

std::optional<Source> open_packed(const std::filesystem::path& path, int channels) {
  if (!PackFile::recognises(path)) return std::nullopt;
  const auto file = std::make_shared<const PackFile>(path);
  const PackMetadata& m = file->metadata();
  const int wanted = channels == 0 ? m.channels : channels;
  const auto part = [&](int64_t first, int64_t count) {
    return std::make_shared<PackedDataset>(file, PackedDataset::Part{first, count}, wanted);
  };
  return Source{part(0, m.train), m.val < 0 ? nullptr : part(m.train, m.val),
                m.resized.empty() ? m.format : m.format + ", " + m.resized};
}

PackSummary verify_packed(const std::filesystem::path& path, const PackWatcher& watcher) {
  const auto file = std::make_shared<const PackFile>(path);
  const PackedDataset all(file, {0, file->size()}, file->metadata().channels);
  PackSummary summary;
  summary.left_out = file->metadata().left_out;
  summary.bytes = file->file_bytes();
  summary.source_hash = file->metadata().source_hash;
  uint64_t bytes = 0;
  for (; summary.pictures < all.size(); ++summary.pictures) {
    if (watcher.stop && watcher.stop()) {
      summary.interrupted = true;
      break;
    }
    const Picture picture = all.picture(summary.pictures);
    if (!picture.jpeg.empty()) decode(picture);
    bytes += file->record(summary.pictures).bytes;
    if (watcher.progress) {
      watcher.progress({"verifying", summary.pictures + 1, all.size(), bytes});
    }
  }
  return summary;
}

}  // namespace kd
