// ResNets as safetensors with the parameter names and layouts of PyTorch (OIHW), for
// load_state_dict(strict=True).
#pragma once

#include <filesystem>

#include "kd/model.h"

namespace kd {

enum class TorchLayout : uint8_t {
  torchvision,  // torchvision.models.resnet18 and its like
  akamaster,    // the CIFAR ResNets with option A of pytorch_resnet_cifar10: `linear`, not `fc`
};

// Throws Error saying why, where the model is none of that family. Written to a temporary name.
void export_torch(const Model& model, const std::filesystem::path& path, TorchLayout layout);

}  // namespace kd
