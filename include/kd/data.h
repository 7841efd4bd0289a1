// Pictures in, batches out. Augmentation is a pure function of (seed, epoch, sample id).
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kd/model.h"

namespace kd {

// A decoded picture: u8, (height, width, channels) interleaved, channels 1 (grey) or 3 (RGB).
struct Image {
  int height = 0, width = 0, channels = 3;
  std::vector<uint8_t> pixels;
};

// Decodes PNG, JPEG, BMP, ... into `channels` channels. Throws Error naming the file; checks the
// dimensions before it allocates for them.
Image load_image(const std::filesystem::path& path, int channels);
std::vector<std::byte> encode_png(const Image& image);  // the bytes of a PNG file
void save_png(const Image& image, const std::filesystem::path& path);

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual int label(int64_t index) const = 0;  // -1: no label
  virtual std::string name(
      int64_t index) const = 0;                  // file name or "train-images-idx3-ubyte.gz[17]"
  virtual int channels() const = 0;              // 1 or 3
  virtual Image image(int64_t index) const = 0;  // thread-safe; throws Error if unreadable
  virtual const std::vector<std::string>& class_names() const = 0;
};

struct DataOptions {
  double val_split = 0;  // > 0: this share of each class of a single folder becomes validation
  double dev_split = 0;  // > 0: this share of each class of the training pictures becomes `dev`
  int64_t per_class =
      0;              // > 0: only the first so many training images of each class, by sorted name
  int channels = 3;   // what the network wants; grey is repeated, colour is averaged (BT.601)
  uint64_t seed = 0;  // of the splits
  // Further folders of pictures, in any depth, that follow the training pictures in this order, by
  // sorted path. What lies in folders named as the classes has their labels, the rest has none.
  std::vector<std::filesystem::path> extra = {};
};
struct DataSplits {
  std::shared_ptr<const Dataset> train, val;  // val may have no pictures (format "pictures")
  std::string format;                         // "folder", "pictures", "cifar-binary", "idx"
  std::string fingerprint;                    // XXH3-128 over names and labels, hex
  // What models are chosen by, so that `val` stays unseen; null where dev_split is 0.
  std::shared_ptr<const Dataset> dev = nullptr;
};
// path: an image folder (train/<class>/*, val/<class>/*; or <class>/* with val_split), a folder of
// CIFAR-10/100 binary batches, a folder of MNIST-style IDX files (.gz or not), or a folder of
// nothing but pictures, which have no labels. Class order: sorted folder names, or the file's own.
// Throws Error naming an empty class folder, a missing file, a class that only one split has, an
// extra folder that holds no pictures or class folders beside others, a split that leaves nothing.
DataSplits open_data(const std::filesystem::path& path, const DataOptions& options);

struct Augment {
  int pad_crop = 0;  // pad by so many zero pixels, then a random crop of the input size
  bool random_resized_crop = false;  // instead of resize + crop: area 8-100 %, aspect 3/4-4/3
  double flip = 0;                   // probability of a left-right flip
  double brightness = 0, contrast = 0, saturation = 0;  // colour jitter: factor in [1-x, 1+x]
  // RandAugment (Cubuk et al., 2020): so many operations one after another, each one of 14 at
  // random, at a magnitude of 0 to 30 as torchvision counts. Before the crop of pad_crop.
  int rand_augment = 0;
  double rand_augment_magnitude = 9;
  // Probability of a rectangle of the network's mean colour (Zhong et al., 2020): 2-33 % of the
  // area, aspect 0.3-3.3.
  double erasing = 0;
  // Mixing within a batch: alpha of Beta(alpha, alpha), from which lambda is drawn; 0 = off. Both
  // on: a batch is mixed one way or the other, CutMix with switch_probability.
  double mixup = 0, cutmix = 0;
  double mix_probability = 1;  // of a batch being mixed at all
  double switch_probability = 0.5;
  bool mixes() const { return mixup > 0 || cutmix > 0; }
  // Does a picture look different from epoch to epoch?
  bool random() const {
    return pad_crop > 0 || random_resized_crop || flip > 0 || brightness > 0 || contrast > 0 ||
           saturation > 0 || rand_augment > 0 || erasing > 0;
  }
};

// What a device makes network inputs of (place_images, kd/ops.h): cropped, mirrored and normalised
// there.
struct Batch {
  Tensor pixels;      // u8 (batch, H, W, C), H x W the network's
  Tensor placements;  // i32 (batch, 3): top, left, mirrored
  Tensor labels;      // i32 (batch); -1: none, and past `count`
  std::vector<int64_t> ids;
  int64_t count =
      0;  // < batch only in the last batch of a pass that keeps it; the rest repeats the last image
  // How pictures are mixed once they are normalised (mix_images, kd/mix_ops.h); empty without.
  Tensor partners;  // i32 (batch): the picture of this batch mixed in
  Tensor shares;    // f32 (batch): lambda, the own picture's share
  Tensor boxes;     // i32 (batch, 4): top, left, height, width pasted (CutMix); zero for Mixup
};
// A full batch of black pictures with label -1, without the tensors of mixing.
Batch make_batch(const Preprocess& preprocess, int64_t batch);
// Adds these tensors: every picture alone.
void mix_nothing(Batch& batch);
// How batch `number` of the pass is mixed, one permutation and one lambda for all of it; nothing
// where `augment` does not mix. A pure function of the arguments.
void draw_mixing(const Augment& augment, uint64_t seed, int64_t epoch, int64_t number,
                 Batch& batch);

struct LoaderOptions {
  int64_t batch = 128;
  Preprocess preprocess;
  Augment augment;  // used where `training`
  bool training =
      false;  // shuffled, augmented, last partial batch dropped; else in order, all of it
  // With training: how many augmented views a picture has, epoch e showing view e mod views; 0: a
  // new one each epoch.
  int64_t views = 0;
  // With training: neither shuffled nor cut to whole batches, as evaluation is.
  bool in_order = false;
  uint64_t seed = 0;
  int workers = 2;   // threads; any number gives the same batches
  int prefetch = 4;  // batches kept ready
  int64_t max_bad_images =
      0;  // unreadable ones are named, counted and left out; more than this = Error
  std::function<void(const std::string&)> warn;  // called once for each unreadable picture
};

// Runs worker threads for one pass at a time. Batches come in order, whatever the workers do.
class Loader {
 public:
  Loader(std::shared_ptr<const Dataset> data, LoaderOptions options);
  ~Loader();
  int64_t batches() const;  // of a pass
  Shape pixels() const;     // of a batch: (batch, H, W, C)
  // Starts pass `epoch` at batch `first` (for resume), dropping what is left of the one before.
  void start(int64_t epoch, int64_t first = 0);
  // The next batch, valid until the next call; nullptr at the end of the pass. Rethrows a worker's
  // Error.
  const Batch* next();
  double wait_seconds() const;  // waited in next() so far
  int64_t bad_images() const;   // found so far
 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Where the network's H x W lies in a picture; pixels outside count as 0.
struct Placement {
  int top = 0, left = 0;
  bool mirrored = false;
};
// A picture of the network's H x W, and where in it the crop lies.
struct StagedImage {
  Image image;
  Placement place;
};
// What a worker does to one picture.
StagedImage stage_image(const Image& image, const Preprocess& preprocess);
StagedImage stage_augmented(const Image& image, const Preprocess& preprocess,
                            const Augment& augment, uint64_t seed, int64_t epoch,
                            int64_t sample_id);
// f32 (C, 257): the normalised value of each byte of each channel, then the channel it goes to.
Tensor pixel_table(const Preprocess& preprocess);

// The whole way to the network's input, on the host: `out` is f32 (H, W, C).
void prepare_image(const Image& image, const Preprocess& preprocess, float* out);
void augment_image(const Image& image, const Preprocess& preprocess, const Augment& augment,
                   uint64_t seed, int64_t epoch, int64_t sample_id, float* out);

}  // namespace kd
