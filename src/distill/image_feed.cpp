#include "distill/image_feed.h"

#include <cstring>

#include "kd/error.h"
#include "kd/mix_ops.h"

namespace kd {

ImageFeed::Mirrored ImageFeed::mirrored(const TensorDesc& desc) {
  return {Tensor(desc, backend_.allocate(desc.bytes(), Memory::pinned_host)),
          Tensor(desc, backend_.allocate(desc.bytes(), Memory::device))};
}

ImageFeed::ImageFeed(Backend& backend, const Shape& pixels, const std::vector<Target>& targets,
                     Mixing mixing)
    : backend_(backend), mixing_(mixing) {
  const int64_t batch = pixels[0];
  pixels_ = mirrored({DType::u8, pixels});
  placements_ = mirrored({DType::i32, {batch, 3}});
  labels_ = mirrored({DType::i32, {batch}});
  ids_ = mirrored({DType::i32, {batch}});
  if (mixing == Mixing::on) {
    partners_ = mirrored({DType::i32, {batch}});
    boxes_ = mirrored({DType::i32, {batch, 4}});
    shares_ = mirrored({DType::f32, {batch}});
    partner_labels_ = mirrored({DType::i32, {batch}});
  }
  for (const Target& target : targets) add_target(target);
}

void ImageFeed::add_target(const Target& target) {
  const Tensor host = pixel_table(target.preprocess);
  const Tensor table(host.desc(), backend_.allocate(host.bytes(), Memory::device));
  const auto stream = backend_.stream(Priority::normal);
  backend_.copy(table.data(), host.data(), host.bytes(), *stream);
  backend_.synchronize(*stream);
  Graph graph;
  CompileOptions options;
  const auto input = [&](const char* name, const Tensor& tensor) {
    const Value value = graph.input(name, tensor.desc());
    options.bindings.push_back({value, tensor});
    return value;
  };
  const Value pixels = input("pixels", pixels_.device);
  const Value placements = input("placements", placements_.device);
  const Value values = input("table", table);
  const auto size_of = [](const Shape& shape) {
    return std::array{static_cast<int>(shape[1]), static_cast<int>(shape[2])};
  };
  const std::array staged = size_of(pixels_.device.shape()),
                   wanted = size_of(target.images.shape());
  const ImagesAttrs attrs{staged, static_cast<int>(target.images.shape()[3]),
                          target.images.desc().dtype};
  Value images = place_images(graph, pixels, placements, values, attrs, "input");
  if (mixing_ == Mixing::on) {
    const Value partners = input("partners", partners_.device);
    const Value shares = input("shares", shares_.device);
    const Value boxes = input("boxes", boxes_.device);
    images = mix_images(graph, images, partners, shares, boxes, "mixed");
  }
  if (wanted != staged) images = resize_images(graph, images, {wanted}, "resized");
  options.bindings.push_back({images, target.images});
  programs_.push_back(compile(std::move(graph), backend_, options));
}

void ImageFeed::put(const Mirrored& to, const Tensor& from) {
  KD_CHECK(to.host.desc() == from.desc(), "a batch holds {}, expected {}", from.desc().str(),
           to.host.desc().str());
  std::memcpy(to.host.data(), from.data(), from.bytes());
}

void ImageFeed::stage(const Batch& batch) {
  put(pixels_, batch.pixels);
  put(placements_, batch.placements);
  put(labels_, batch.labels);
  stage_ids(batch.ids);
  KD_CHECK(mixing_ == Mixing::on || !batch.partners, "a batch mixes pictures, which is off here");
  if (mixing_ == Mixing::off) return;
  if (batch.partners) return stage_mixing(batch);
  Batch alone = batch;
  mix_nothing(alone);
  stage_mixing(alone);
}

void ImageFeed::stage_ids(const std::vector<int64_t>& ids) {
  auto* out = ids_.host.as<int32_t>();
  for (size_t i = 0; i < static_cast<size_t>(ids_.host.elements()); ++i) {
    out[i] = i < ids.size() ? static_cast<int32_t>(ids[i]) : 0;
  }
}

void ImageFeed::stage_mixing(const Batch& batch) {
  put(partners_, batch.partners);
  put(shares_, batch.shares);
  put(boxes_, batch.boxes);
  const auto *labels = batch.labels.as<int32_t>(), *partners = batch.partners.as<int32_t>();
  for (int64_t i = 0; i < batch.labels.elements(); ++i) {
    partner_labels_.host.as<int32_t>()[i] = labels[partners[i]];
  }
}

void ImageFeed::transfer(Stream& stream) {
  for (const Mirrored* part :
       {&pixels_, &placements_, &labels_, &ids_, &partners_, &boxes_, &shares_, &partner_labels_}) {
    if (!part->host) continue;
    backend_.copy(part->device.data(), part->host.data(), part->host.bytes(), stream);
  }
}

void ImageFeed::upload(const Batch& batch, Stream& stream) {
  stage(batch);
  transfer(stream);
}

}  // namespace kd
