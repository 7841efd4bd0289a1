// The pictures of one batch on the device, and the small programs that make network inputs of them:
// placed, where asked mixed with one another, the same way for every target, and resized for a
// target that takes another size.
#pragma once

#include "kd/backend.h"
#include "kd/data.h"
#include "kd/program.h"

namespace kd {

enum class Mixing : uint8_t { off, on };

class ImageFeed {
 public:
  // A network's input: f32 or 16-bit (batch, H, W, C), and how it wants its pictures normalised.
  struct Target {
    Tensor images;
    Preprocess preprocess;
  };
  // pixels: the shape of a batch's, (batch, H, W, C). A target of another size than H x W has its
  // pictures made in H x W, and then resized (resize_images, kd/mix_ops.h).
  ImageFeed(Backend& backend, const Shape& pixels, const std::vector<Target>& targets,
            Mixing mixing = Mixing::off);

  // Copies the batch into pinned memory at once, and enqueues the copies to the device. The memory
  // of the last call must have been read by then: wait for the stream, or an event after it. Throws
  // Error for a batch that mixes where mixing is off; one without its tensors mixes nothing.
  void upload(const Batch& batch, Stream& stream);
  void stage(const Batch& batch);  // the first half of upload(): what the host does
  void transfer(Stream& stream);   // the second: what the stream does
  void place(size_t target, Stream& stream) { programs_[target].run(stream); }
  Tensor labels() const { return labels_.device; }  // i32 (batch)
  Tensor ids() const { return ids_.device; }        // i32 (batch); 0 in a batch without
  // Empty where mixing is off: the labels of the pictures mixed in, i32 (batch), and the own
  // pictures' shares, f32 (batch).
  Tensor partner_labels() const { return partner_labels_.device; }
  Tensor shares() const { return shares_.device; }

 private:
  struct Mirrored {  // one tensor in pinned host memory and on the device
    Tensor host, device;
  };
  Mirrored mirrored(const TensorDesc& desc);
  static void put(const Mirrored& to, const Tensor& from);
  void add_target(const Target& target);
  void stage_ids(const std::vector<int64_t>& ids);
  void stage_mixing(const Batch& batch);

  Backend& backend_;
  Mixing mixing_;
  Mirrored pixels_, placements_, labels_, ids_;
  Mirrored partners_, boxes_, shares_, partner_labels_;  // empty where mixing is off
  std::vector<Program> programs_;
};

}  // namespace kd
