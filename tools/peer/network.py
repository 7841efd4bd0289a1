"""The architectures of models/*.json as PyTorch modules, and the files kdbench writes for them."""
import json
import struct

import numpy
import torch
from torch import nn
from torch.nn import functional

KINDS = {"F32": numpy.float32, "I32": numpy.int32}


def load_safetensors(path):
    """name -> tensor, as it lies in the file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    return {name: torch.from_numpy(numpy.frombuffer(data[slice(*entry["data_offsets"])], dtype=KINDS[entry["dtype"]])
                                   .reshape(entry["shape"]).copy())
            for name, entry in header.items() if name != "__metadata__"}


def turned(tensor):
    """Convolution weights from KRSC, pictures from NHWC, to PyTorch's order."""
    return tensor.permute(0, 3, 1, 2).contiguous() if tensor.dim() == 4 else tensor


class Block(nn.Module):
    def __init__(self, kind, inputs, channels, stride, option_a):
        super().__init__()
        self.kind, self.stride, self.option_a = kind, stride, option_a
        outputs = channels * (4 if kind == "bottleneck" else 1)
        if kind == "basic":
            self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        else:
            self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
            self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
            self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.downsample, self.grow = None, outputs - inputs
        if (stride != 1 or inputs != outputs) and not option_a:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.kind == "bottleneck":
            y = self.bn3(self.conv3(functional.relu(y, inplace=True)))
        if self.downsample is not None:
            x = self.downsample(x)
        elif self.option_a and (self.stride != 1 or self.grow):
            low = self.grow // 2
            x = functional.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, low, self.grow - low))
        return functional.relu(y + x, inplace=True)


class ResNet(nn.Module):
    """Parameters have the names of our models."""

    def __init__(self, spec):
        super().__init__()
        stem = spec["stem"]
        self.large = stem["kind"] == "imagenet"
        width = stem["channels"]
        self.conv1 = nn.Conv2d(spec.get("input_channels", 3), width, 7 if self.large else 3, 2 if self.large else 1,
                               3 if self.large else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.stages = []
        for i, stage in enumerate(spec["stages"]):
            blocks = []
            for j in range(stage["blocks"]):
                blocks.append(Block(stage["block"], width, stage["channels"], stage.get("stride", 1) if j == 0 else 1,
                                    stage.get("shortcut", "B") == "A"))
                width = stage["channels"] * (4 if stage["block"] == "bottleneck" else 1)
            self.stages.append(f"layer{i + 1}")
            setattr(self, self.stages[-1], nn.Sequential(*blocks))
        self.fc = nn.Linear(width, spec.get("classes", 1000))

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        if self.large:
            x = functional.max_pool2d(x, 3, 2, 1)
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.fc(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


def load_network(architecture, weights):
    with open(architecture) as file:
        network = ResNet(json.load(file))
    tensors = {name: turned(tensor) for name, tensor in load_safetensors(weights).items()}
    result = network.load_state_dict(tensors, strict=False)
    missing = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    assert not missing and not result.unexpected_keys, (missing, result.unexpected_keys)
    return network


def fold_batch_norms(network):
    """Batch norms into the convolutions before them, as kdengine folds a teacher's; in place, for eval only."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    network.eval()
    for module in network.modules():
        for number in ("1", "2", "3"):
            if isinstance(getattr(module, "bn" + number, None), nn.BatchNorm2d):
                setattr(module, "conv" + number, fuse_conv_bn_eval(getattr(module, "conv" + number), getattr(module, "bn" + number)))
                setattr(module, "bn" + number, nn.Identity())
        if isinstance(getattr(module, "downsample", None), nn.Sequential):
            module.downsample = fuse_conv_bn_eval(*module.downsample)
    return network
