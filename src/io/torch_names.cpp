#include "io/torch_names.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "io/channels_first.h"
#include "io/safetensors.h"
#include "kd/error.h"
#include "kd/ops.h"
#include "ops/table.h"

namespace kd {
namespace {

// The names are the same for other activations and another epsilon, the numbers would not be.
void check_numbers(const Model& model) {
  for (const Node& node : model.graph.nodes()) {
    KD_CHECK(node.op != &op_activation || node.attr<ActivationAttrs>().kind == Activation::relu,
             "{}: '{}' is {}, these networks have relu", model.name, node.name,
             name_of(node.attr<ActivationAttrs>().kind));
    KD_CHECK(node.op != &op_batch_norm || node.attr<BatchNormAttrs>().eps == 1e-5,
             "{}: '{}' has epsilon {}, these networks have 1e-5", model.name, node.name,
             node.attr<BatchNormAttrs>().eps);
  }
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> list) {
  return std::ranges::find(list, text) != list.end();
}

// conv1.weight, bn1.bias, layer2.0.conv3.weight, layer2.0.downsample.1.running_var, fc.bias, ...
bool is_known(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string_view layer = name.substr(0, dot);
  const std::string_view kind = name.substr(dot + 1);
  const auto conv = [&] { return kind == "weight"; };
  const auto norm = [&] { return one_of(kind, {"weight", "bias", "running_mean", "running_var"}); };
  if (layer == "fc") return one_of(kind, {"weight", "bias"});
  if (layer == "conv1") return conv();
  if (layer == "bn1") return norm();
  if (!one_of(layer.substr(0, 7), {"layer1.", "layer2.", "layer3.", "layer4."})) return false;
  layer.remove_prefix(7);
  const size_t block = std::min(layer.find_first_not_of("0123456789"), layer.size());
  if (block == 0 || block == layer.size() || layer[block] != '.') return false;
  layer.remove_prefix(block + 1);
  if (one_of(layer, {"conv1", "conv2", "conv3", "downsample.0"})) return conv();
  return one_of(layer, {"bn1", "bn2", "bn3", "downsample.1"}) && norm();
}

void check_family(const Model& model, TorchLayout layout) {
  const bool cifar = layout == TorchLayout::akamaster;
  for (const auto& [name, tensor] : model.tensors) {
    KD_CHECK(is_known(name) && !(cifar && name.find("downsample") != name.npos),
             "{}: the tensor '{}' has no counterpart in {}; export to .onnx instead", model.name,
             name, cifar ? "the CIFAR ResNets of option A" : "torchvision's ResNets");
  }
  const auto stem = model.tensors.find("conv1.weight");
  const Shape wanted = cifar ? Shape{16, 3, 3, 3} : Shape{64, 7, 7, 3};
  KD_CHECK(stem != model.tensors.end() && stem->second.shape() == wanted &&
               model.tensors.contains("fc.bias"),
           "{}: not a {}: its conv1.weight is {}, expected {}{}", model.name,
           cifar ? "CIFAR ResNet" : "ResNet of torchvision",
           stem == model.tensors.end() ? std::string("missing") : stem->second.shape().str(),
           wanted, cifar ? "" : "; CIFAR ResNets with option A: --layout akamaster");
  bool padded = false;
  for (const Node& node : model.graph.nodes()) padded = padded || node.op == &op_pad;
  KD_CHECK(padded == cifar, "{}: its shortcuts are {}", model.name,
           padded ? "of option A: --layout akamaster" : "not of option A: --layout torchvision");
}

// (K, R, S, C) -> (K, C, R, S)
Tensor oihw(const Tensor& krsc) {
  const Shape& s = krsc.shape();
  if (s.rank() != 4) return krsc;
  const std::span<const float> values(krsc.as<float>(), static_cast<size_t>(krsc.elements()));
  Tensor made = Tensor::host({DType::f32, {s[0], s[3], s[1], s[2]}});
  std::ranges::copy(channels_first(values, {s[0], s[1], s[2], s[3]}), made.as<float>());
  return made;
}

}  // namespace

void export_torch(const Model& model, const std::filesystem::path& path, TorchLayout layout) {
  check_family(model, layout);
  check_numbers(model);
  Safetensors file{{{"format", "pt"}}, {}};
  for (const auto& [name, tensor] : model.tensors) {
    std::string theirs = name;
    if (layout == TorchLayout::akamaster && name.starts_with("fc.")) {
      theirs.replace(0, 2, "linear");
    }
    file.tensors[theirs] = oihw(tensor);
    constexpr std::string_view statistic = ".running_mean";
    if (!name.ends_with(statistic)) continue;
    const Tensor batches = Tensor::host({DType::i64, Shape{}});
    *batches.as<int64_t>() = 0;
    file.tensors[name.substr(0, name.size() - statistic.size()).append(".num_batches_tracked")] =
        batches;
  }
  write_safetensors(file, path);
}

}  // namespace kd
