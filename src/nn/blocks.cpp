// Residual blocks: basic and bottleneck (v1.5: the stride is on the 3x3), as torchvision defines
// them.
#include "nn/builder.h"

namespace kd {
namespace {

Value shortcut(Builder& builder, Value x, const BlockSpec& spec, int64_t channels) {
  if (spec.stride == 1 && builder.channels(x) == channels) return x;
  if (spec.shortcut == Shortcut::subsample) {
    return builder.subsample_and_pad(x, channels, spec.stride, spec.name + ".downsample");
  }
  return builder.conv_norm(
      x, {spec.name + ".downsample.0", spec.name + ".downsample.1", channels, 1, spec.stride});
}

}  // namespace

Value basic_block(Builder& builder, Value x, const BlockSpec& spec) {
  const std::string at = spec.name + ".";
  Value y = builder.conv_norm(x, {at + "conv1", at + "bn1", spec.channels, 3, spec.stride});
  y = builder.act(y, at + "relu");
  y = builder.conv_norm(y, {at + "conv2", at + "bn2", spec.channels, 3});
  y = add(builder.graph(), y, shortcut(builder, x, spec, spec.channels), spec.name);
  return builder.act(y, at + "relu");
}

Value bottleneck(Builder& builder, Value x, const BlockSpec& spec) {
  const std::string at = spec.name + ".";
  const int64_t wide = spec.channels * 4;
  Value y = builder.conv_norm(x, {at + "conv1", at + "bn1", spec.channels});
  y = builder.act(y, at + "relu");
  y = builder.conv_norm(y, {at + "conv2", at + "bn2", spec.channels, 3, spec.stride});
  y = builder.act(y, at + "relu");
  y = builder.conv_norm(y, {at + "conv3", at + "bn3", wide});
  y = add(builder.graph(), y, shortcut(builder, x, spec, wide), spec.name);
  return builder.act(y, at + "relu");
}

}  // namespace kd
