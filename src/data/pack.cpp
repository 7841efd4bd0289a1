// Packing: pictures are made in blocks by several threads and written in order; a journal of what
// is written lets the next run continue.
#include "kd/pack.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <thread>

#include "data/dataset.h"
#include "data/image.h"
#include "data/pack_file.h"
#include "data/transform.h"
#include "kd/error.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

// A picture on its way into the file.
struct Made {
  PackRecord record;
  std::vector<uint8_t> pixels;
  Picture jpeg;     // where its file is kept
  std::string bad;  // why it is left out
  std::span<const std::byte> bytes() const {
    return jpeg.jpeg.empty() ? std::as_bytes(std::span(pixels)) : jpeg.jpeg;
  }
};

std::string how_resized(const PackConfig& c) {
  if (c.size > 0) return format("shorter side {}", c.size);
  if (c.height > 0) return format("cropped to {} x {}", c.height, c.width);
  return "";
}

void check(const PackConfig& c) {
  const bool resizes = c.size > 0 || c.height > 0 || c.width > 0;
  const auto usage = [](bool good, std::string_view what) {
    if (!good) fail(ErrorCode::usage, what);
  };
  usage((c.height > 0) == (c.width > 0), "--height and --width go together");
  usage(c.size == 0 || c.height == 0, "--size and --height, --width exclude each other");
  usage(!c.keep_jpeg || !resizes, "--keep-jpeg keeps files as they are: nothing can be resized");
  usage(!c.keep_jpeg || c.channels != 1, "--keep-jpeg keeps files as they are: no --channels 1");
  usage(c.size >= 0 && c.height >= 0 && c.width >= 0 && c.size <= 65536 && c.height <= 65536 &&
            c.width <= 65536,
        "sizes are 1 to 65536 pixels");
}

class Packer {
 public:
  Packer(const PackConfig& config, const PackWatcher& watcher)
      : config_(config),
        watcher_(watcher),
        source_(open_source(config.source, config.channels)),
        file_(config.output),
        journal_(journal_path()) {
    file_.truncate(std::max(file_.size(), kPackHeaderBytes));
  }
  PackSummary run();

 private:
  fs::path journal_path() const { return config_.output.string() + ".journal"; }
  int64_t size() const { return source_.train->size() + (source_.val ? source_.val->size() : 0); }
  struct Sample {
    const Dataset& data;
    int64_t index;
  };
  Sample sample(int64_t at) const {
    const int64_t train = source_.train->size();
    return at < train ? Sample{*source_.train, at} : Sample{*source_.val, at - train};
  }
  std::string name_in_set(int64_t at) const;
  Digest plan() const;
  void take_up();
  bool as_written(const PackRecord& record, uint64_t end) const;
  Made make(int64_t at) const;
  std::vector<Made> make_block(int64_t first, int64_t count) const;
  void write_block(const std::vector<Made>& block);
  PackSummary finish();
  bool stopped() const { return watcher_.stop && watcher_.stop(); }
  void progress(const std::string& what, int64_t done, int64_t total) const {
    if (watcher_.progress) watcher_.progress({what, done, total, end_});
  }

  const PackConfig& config_;
  const PackWatcher& watcher_;
  Source source_;
  ResumableFile file_, journal_;
  std::vector<PackRecord> records_;  // of what is written
  uint64_t end_ = kPackHeaderBytes;  // of the last picture
  PackSummary summary_;
};

// Below the source's folder; a binary file's pictures have its name and a number.
std::string Packer::name_in_set(int64_t at) const {
  const Sample s = sample(at);
  const fs::path name = s.data.name(s.index);
  const fs::path below = name.lexically_relative(config_.source);
  const bool inside = !below.empty() && *below.begin() != "..";
  return (inside ? below : name.filename()).string();
}

// What an interrupted run must have had in common with this one.
Digest Packer::plan() const {
  std::string text =
      format("{} {} {} {} {} {}", source_.format, how_resized(config_), source_.train->channels(),
             config_.keep_jpeg, KD_VERSION, source_.train->size());
  for (const std::string& name : source_.train->class_names()) text += '\n' + name;
  for (int64_t i = 0; i < size(); ++i) {
    const Sample s = sample(i);
    text += format("\n{} {}", name_in_set(i), s.data.label(s.index));
    if (!s.data.of_files()) continue;
    const fs::path file = s.data.name(s.index);
    std::error_code error;  // a file that has gone is named when it is read
    text += format(" {} {}", fs::file_size(file, error),
                   fs::last_write_time(file, error).time_since_epoch().count());
  }
  return digest(std::as_bytes(std::span(text)));
}

bool Packer::as_written(const PackRecord& r, uint64_t end) const {
  if (r.encoding == PackEncoding::left_out) return r.bytes == 0;
  if (r.offset != align_pack(end_) || r.offset > end || r.bytes > end - r.offset) return false;
  std::vector<std::byte> bytes(r.bytes);
  file_.read_at(r.offset, bytes);
  return digest(bytes) == r.digest;
}

// Reads the journal of an interrupted run as far as the file bears it out.
void Packer::take_up() {
  const Digest wanted = plan();
  Digest found{};
  const uint64_t written = file_.size(), length = journal_.size();
  if (length >= sizeof(found)) journal_.read_at(0, std::as_writable_bytes(std::span(found)));
  const bool same = length >= sizeof(found) && found == wanted;
  const auto count = static_cast<int64_t>(std::min<uint64_t>(
      same ? (length - sizeof(found)) / sizeof(PackRecord) : 0, static_cast<uint64_t>(size())));
  for (int64_t i = 0; i < count && !stopped(); ++i) {
    PackRecord record;
    journal_.read_at(sizeof(found) + static_cast<uint64_t>(i) * sizeof(record),
                     std::as_writable_bytes(std::span(&record, 1)));
    if (!as_written(record, written)) break;
    records_.push_back(record);
    if (record.encoding != PackEncoding::left_out) end_ = record.offset + record.bytes;
    progress("checking what is there", i + 1, count);
  }
  if (stopped()) return;
  journal_.truncate(sizeof(found) + records_.size() * sizeof(PackRecord));
  if (!same) journal_.write_at(0, std::as_bytes(std::span(wanted)));
  file_.truncate(end_);
  summary_.continued = static_cast<int64_t>(records_.size());
  if (summary_.continued > 0 && watcher_.note) {
    watcher_.note(format("{}: continued after {} of {} pictures", config_.output.string(),
                         summary_.continued, size()));
  }
}

Made Packer::make(int64_t at) const {
  const Sample s = sample(at);
  const std::string name = s.data.name(s.index);
  Made made;
  Picture picture;
  if (s.data.of_files()) {
    std::vector<std::byte> bytes = read_file(name);
    made.record.source = digest(bytes);
    picture = picture_of_file(std::move(bytes), name, s.data.channels());
  } else {
    picture = s.data.picture(s.index);
    made.record.source =
        digest(picture.jpeg.empty() ? std::as_bytes(picture.pixels) : picture.jpeg);
  }
  Image image{picture.height, picture.width, picture.channels, {}};
  if (config_.keep_jpeg && !picture.jpeg.empty()) {
    decode(picture);  // a damaged one is found now
    made.jpeg = picture;
    made.record.encoding = PackEncoding::jpeg;
  } else if (config_.size > 0) {
    image = resize_shorter(picture, config_.size);
  } else if (config_.height > 0) {
    Preprocess crop;
    crop.crop_height = image.height = config_.height;
    crop.crop_width = image.width = config_.width;
    crop.colour = image.channels == 1 ? "GRAY" : "RGB";
    image.pixels.resize(static_cast<size_t>(image.height) * static_cast<size_t>(image.width) *
                        static_cast<size_t>(image.channels));
    stage_image(picture, crop, image.pixels);
  } else {
    image = decode(picture);
  }
  made.record.height = static_cast<uint32_t>(image.height);
  made.record.width = static_cast<uint32_t>(image.width);
  made.record.channels = static_cast<uint8_t>(image.channels);
  made.pixels = std::move(image.pixels);
  return made;
}

std::vector<Made> Packer::make_block(int64_t first, int64_t count) const {
  std::vector<Made> block(static_cast<size_t>(count));
  std::atomic<int64_t> next = 0;
  std::exception_ptr error;
  std::atomic_flag failed;
  const auto work = [&] {
    for (int64_t i = next++; i < count; i = next++) {
      Made& made = block[static_cast<size_t>(i)];
      try {
        made = make(first + i);
      } catch (const Error& bad) {
        made.bad = bad.what();
        made.record.encoding = PackEncoding::left_out;
      } catch (...) {
        if (!failed.test_and_set()) error = std::current_exception();
      }
      made.record.digest = digest(made.bytes());
      made.record.bytes = made.bytes().size();
    }
  };
  std::vector<std::jthread> threads;
  for (int64_t i = 1; i < std::min<int64_t>(config_.workers, count); ++i)
    threads.emplace_back(work);
  work();
  threads.clear();
  if (error) std::rethrow_exception(error);
  return block;
}

// The journal comes after what it speaks of.
void Packer::write_block(const std::vector<Made>& block) {
  const size_t first = records_.size();
  for (const Made& made : block) {
    PackRecord record = made.record;
    const Sample s = sample(static_cast<int64_t>(records_.size()));
    record.label = s.data.label(s.index);
    record.offset = align_pack(end_);
    if (made.bad.empty()) {
      file_.write_at(record.offset, made.bytes());
      end_ = record.offset + record.bytes;
    } else {
      ++summary_.left_out;
      if (watcher_.note) watcher_.note(made.bad);
      KD_CHECK(summary_.left_out <= config_.max_bad_images,
               "{} unreadable pictures, {} allowed (--max-bad-images); the last: {}",
               summary_.left_out, config_.max_bad_images, made.bad);
    }
    records_.push_back(record);
  }
  journal_.append(std::as_bytes(std::span(records_).subspan(first)));
}

PackSummary Packer::finish() {
  PackIndex index;
  PackMetadata& m = index.metadata;
  m.format = source_.format;
  m.resized = how_resized(config_);
  m.channels = source_.train->channels();
  m.classes = source_.train->class_names();
  m.left_out = summary_.left_out;
  const auto train = static_cast<size_t>(source_.train->size());
  if (source_.val) m.val = 0;
  std::string source;
  for (size_t i = 0; i < records_.size(); ++i) {
    if (records_[i].encoding == PackEncoding::left_out) continue;
    index.names.push_back(name_in_set(static_cast<int64_t>(i)));
    index.records.push_back(records_[i]);
    ++(i < train ? m.train : m.val);
    source +=
        format("{}\n{}\n{}\n", index.names.back(), records_[i].label, hex_of(records_[i].source));
  }
  KD_CHECK(m.train > 0, "{}: no training picture is readable", config_.source.string());
  m.source_hash = hash_hex(std::as_bytes(std::span(source)));
  const std::vector<std::byte> text = encode_pack_index(index);
  const uint64_t at = align_pack(end_);
  file_.truncate(at);
  file_.write_at(at, text);
  file_.write_at(0, encode_pack_header(at, text));
  file_.commit();
  fs::remove(journal_path().string() + ".partial");
  summary_.pictures = static_cast<int64_t>(index.records.size());
  summary_.bytes = at + text.size();
  summary_.source_hash = m.source_hash;
  return summary_;
}

PackSummary Packer::run() {
  take_up();
  for (const PackRecord& r : records_) summary_.left_out += r.encoding == PackEncoding::left_out;
  const int64_t at_once = int64_t{8} * config_.workers;
  while (static_cast<int64_t>(records_.size()) < size()) {
    if (stopped()) {
      summary_.interrupted = true;
      summary_.pictures = static_cast<int64_t>(records_.size());
      return summary_;
    }
    const auto first = static_cast<int64_t>(records_.size());
    write_block(make_block(first, std::min(at_once, size() - first)));
    progress("packing", static_cast<int64_t>(records_.size()), size());
  }
  return finish();
}

}  // namespace

PackSummary pack(const PackConfig& config, const PackWatcher& watcher) {
  check(config);
  return Packer(config, watcher).run();
}

}  // namespace kd
