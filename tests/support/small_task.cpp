#include "support/small_task.h"

#include "core/file.h"
#include "kd/data.h"
#include "kd/random.h"

namespace kd::test {
namespace {

constexpr const char* kStudent =
    R"({"input_size": [8, 8], "stem": {"kind": "cifar", "channels": 8}, "dropout": 0.1,
  "stages": [{"block": "basic", "channels": 8, "blocks": 1, "shortcut": "A"},
             {"block": "basic", "channels": 16, "blocks": 1, "stride": 2, "shortcut": "A"}]})";

void write_pictures(const std::filesystem::path& folder, int count, uint64_t seed) {
  for (int label = 0; label < 2; ++label) {
    const std::filesystem::path to = folder / (label ? "blue" : "amber");
    std::filesystem::create_directories(to);
    for (int i = 0; i < count; ++i) {
      RandomSequence random(seed, Purpose::init, static_cast<uint32_t>(label),
                            static_cast<uint64_t>(i));
      Image image{8, 8, 3, {}};
      for (int pixel = 0; pixel < 64; ++pixel) {
        for (int c = 0; c < 3; ++c) {
          const int base = (c == 2) == (label == 1) ? 150 : 90;
          image.pixels.push_back(
              static_cast<uint8_t>(base + static_cast<int>(random.below(80)) - 40));
        }
      }
      save_png(image, to / ("picture" + std::to_string(100 + i) + ".png"));
    }
  }
}

}  // namespace

SmallTask::SmallTask() {
  write_pictures(at("data") / "train", 24, 1);
  write_pictures(at("data") / "val", 10, 2);
  write_file(at("student.json"), kStudent);
}

RunConfig SmallTask::config(const std::string& name) const {
  RunConfig c;
  c.student = at("student.json").string();
  c.data = at("data").string();
  c.output = at(name).string();
  c.batch_size = 8;
  return c;
}

std::string SmallTask::last(const std::string& name) const {
  return hash_file(at(name) / "last.bin");
}

}  // namespace kd::test
