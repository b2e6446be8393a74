"""Convolutional networks for pictures of 28 to 64 pixels a side, and their building blocks.

All take float pictures [B, C, H, W] in -1 to 1 and give logits [B, K]. `build_model` builds them by name.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(
    inputs: int, outputs: int, stride: int = 1, kernel: int = 3, conv: type[nn.Conv2d] = nn.Conv2d
) -> nn.Sequential:
    """A convolution followed by batch norm; it has no bias, because batch norm adds its own shift."""
    return nn.Sequential(
        conv(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


def build_convnet(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Three 3x3 convolutions of width w, 2w, 4w, halving the picture twice, then one linear layer.

    The last feature map is averaged to 4 x 4 places and not to one: a network that keeps positions learns faster from
    few pictures (measured for the baseline on the validation split of `creatures`).

    Args:
        widths: [w].
        image_shape: (C, H, W) of the pictures.
    """
    (width,) = widths
    layers: list[nn.Module] = []
    channels = image_shape[0]
    for step, outputs in enumerate((width, 2 * width, 4 * width)):
        layers.append(conv_bn(channels, outputs))
        if step < 2:  # pooling before ReLU gives the same numbers for less work
            layers.append(nn.MaxPool2d(2))
        layers.append(nn.ReLU(inplace=True))
        channels = outputs
    places = min(4, image_shape[1] // 4)
    head = nn.Linear(channels * places * places, num_classes)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(places), nn.Flatten(), head)


class Subsampled1x1(nn.Conv2d):
    """A 1x1 convolution with a stride, computed as a plain 1x1 convolution of the pixels that it reads.

    PyTorch hands the strided form to oneDNN, whose backward pass (version 3.12) writes beyond its buffer on processors
    with AVX2 and without AVX-512 if the map has 2 to 6 channels in channels_last order: the process crashes.
    """

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H / stride, W / stride]
        rows, columns = self.stride
        return F.conv2d(x[..., ::rows, ::columns], self.weight, self.bias)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_bn(inputs, outputs, stride)
        self.second = conv_bn(outputs, outputs)
        plain = stride == 1 and inputs == outputs
        conv = Subsampled1x1 if inputs < 8 else nn.Conv2d
        self.shortcut: nn.Module = nn.Identity() if plain else conv_bn(inputs, outputs, stride, kernel=1, conv=conv)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H / stride, W / stride]
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


def build_resnet(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """A residual network of three stages (w, 2w, 4w channels), two blocks each, for pictures of 32 or 64 pixels a side.

    The first convolution halves pictures larger than 32 pixels, so that the stages' maps have sides of 16, 8 and 4
    pixels for both sizes.
    """
    (width,) = widths
    channels, height, _ = image_shape
    layers: list[nn.Module] = [conv_bn(channels, width // 2, 2 if height > 32 else 1), nn.ReLU(inplace=True)]
    size = width // 2
    for outputs in (width, 2 * width, 4 * width):
        layers += [BasicBlock(size, outputs, stride=2), BasicBlock(outputs, outputs, stride=1)]
        size = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(size, num_classes))


def build_resnet18(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The 18-layer residual network (He et al. 2016, table 1), adapted to small pictures.

    The first convolution is 3x3 and no pooling follows it. It halves pictures larger than 32 pixels, so that the maps
    of the four stages (w, 2w, 4w, 8w channels; two blocks each) have sides of 32, 16, 8 and 4 pixels for pictures of
    32 and of 64 pixels.
    """
    (width,) = widths
    channels, height, _ = image_shape
    layers: list[nn.Module] = [conv_bn(channels, width, 2 if height > 32 else 1), nn.ReLU(inplace=True)]
    size = width
    for stage in range(4):
        outputs = width * 2**stage
        layers += [BasicBlock(size, outputs, stride=2 if stage else 1), BasicBlock(outputs, outputs, stride=1)]
        size = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(size, num_classes))


class Residual(nn.Module):
    """Adds a residual connection around `path`: x + path(x)."""

    def __init__(self, path: nn.Module) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> the same shape
        both: Tensor = x + self.path(x)
        return both


def build_resnet9(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """A small residual network designed to learn CIFAR-10 fast (Page 2018, "How to train your ResNet").

    It has widths w, 2w, 4w and 8w and halves the map three times (four times for pictures larger than 32 pixels), then
    takes the maximum over places. Unlike `build_resnet`'s it does most of its work at full resolution, which makes it
    slower and more accurate.
    """
    (width,) = widths
    channels, height, _ = image_shape

    def step(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(conv_bn(inputs, outputs), nn.ReLU(inplace=True))

    def halve(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(conv_bn(inputs, outputs), nn.MaxPool2d(2), nn.ReLU(inplace=True))

    layers: list[nn.Module] = [step(channels, width)]
    if height > 32:
        layers.append(nn.MaxPool2d(2))
    for outputs, residual in ((2 * width, True), (4 * width, False), (8 * width, True)):
        layers.append(halve(outputs // 2, outputs))
        if residual:
            layers.append(Residual(nn.Sequential(step(outputs, outputs), step(outputs, outputs))))
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8 * width, num_classes))


def build_airbench(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Plain convolutions behind a whitening layer: a network designed for fast training on CIFAR-10 (Jordan 2024,
    "94% on CIFAR-10 in 3.29 seconds on a single GPU", section 3).

    Each width is a stage that halves the map and has two 3x3 convolutions, initialised so that they pass their input
    on. The first layer sees 2x2 pixels; `whiten_` can fix it to the statistics of the training pictures, otherwise it
    is trained like any other.
    """
    channels = image_shape[0]
    patch = 4 * channels
    layers: list[nn.Module] = [nn.Conv2d(channels, 2 * patch, 2), nn.GELU()]
    size = 2 * patch
    for width in widths:
        first = nn.Conv2d(size, width, 3, padding=1, bias=False)
        second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        for convolution in (first, second):
            nn.init.dirac_(convolution.weight.data[: convolution.in_channels])
        layers += [first, nn.MaxPool2d(2), nn.BatchNorm2d(width), nn.GELU()]
        layers += [nn.Sequential(second, nn.BatchNorm2d(width)), nn.GELU()]
        size = width
    head = nn.Linear(size, num_classes, bias=False)
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), head, Scale(1 / 9))


class Scale(nn.Module):
    """Multiplies its input by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:  # any shape
        return x * self.factor


@torch.no_grad()
def whiten_(model: nn.Module, pictures: Tensor) -> bool:
    """Fix the first layer of an `airbench` network to the principal directions of 2x2 patches, each scaled to unit
    variance and taken with both signs (Page 2019, "How to train your ResNet 8", patch whitening).

    Args:
        pictures: float [N, C, H, W] in -1 to 1; a few thousand are enough.

    Returns:
        Whether the first layer of `model` is such a 2x2 convolution; any other network is left unchanged.
    """
    layer = next(iter(model.children()), None)
    if not isinstance(layer, nn.Conv2d) or layer.kernel_size != (2, 2):
        return False
    patches = F.unfold(pictures, 2).permute(0, 2, 1).reshape(-1, 4 * pictures.shape[1])  # [N * places, C * 4]
    variances, directions = torch.linalg.eigh(patches.double().T.cov())
    filters = (directions / (variances + 5e-4).sqrt()).T.flip(0).view(-1, *layer.weight.shape[1:])
    layer.weight.copy_(torch.cat([filters, -filters]))
    layer.weight.requires_grad_(False)
    if layer.bias is not None:
        layer.bias.zero_()
    return True
