"""Networks by name: `mlp-128-128`, `convnet-16`, `resnet-64`. The name is the whole specification.

All take float pictures [B, C, H, W] in -1 to 1 (`views.to_float`) and give logits [B, K].
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kdcore.errors import ConfigError, UnknownName
from kdcore.ink import build_dropout_mlp, build_ink_mlp

MAX_WIDTH = 4096


@dataclass(frozen=True)
class ModelFamily:
    """One row of the registry: how the name is written, what it is, and how it is built."""

    pattern: str
    example: str
    description: str
    build: Callable[[list[int], tuple[int, int, int], int], nn.Module]


def build_mlp(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Fully connected layers of any widths with ReLU between them."""
    channels, height, width = image_shape
    layers: list[nn.Module] = [nn.Flatten()]
    size = channels * height * width
    for units in widths:
        layers += [nn.Linear(size, units), nn.ReLU(inplace=True)]
        size = units
    return nn.Sequential(*layers, nn.Linear(size, num_classes))


def conv_bn(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution and batch norm; the norm's shift makes a bias useless."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def build_convnet(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Three 3x3 convolutions of width w, 2w, 4w, halving the picture twice, then one linear layer.

    The picture is averaged to 4 x 4 places and not to one: where an ear is matters, and with few pictures a
    network that keeps the places learns faster (tried on validation of `creatures`, for the baseline).
    """
    (width,) = widths
    layers: list[nn.Module] = []
    channels = image_shape[0]
    for step, outputs in enumerate((width, 2 * width, 4 * width)):
        layers += [conv_bn(channels, outputs), nn.ReLU(inplace=True)]
        if step < 2:
            layers.append(nn.MaxPool2d(2))
        channels = outputs
    places = min(4, image_shape[1] // 4)
    head = nn.Linear(channels * places * places, num_classes)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(places), nn.Flatten(), head)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_bn(inputs, outputs, stride)
        self.second = conv_bn(outputs, outputs)
        plain = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = nn.Identity() if plain else conv_bn(inputs, outputs, stride, kernel=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H / stride, W / stride]
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


def build_resnet(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Residual network of three stages (w, 2w, 4w), two blocks each, for pictures of 32 or 64 pixels.

    The stem halves pictures of 64 pixels and more, so that the stages see 16, 8 and 4 pixels either way.
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
    """The 18-layer residual network (He et al. 2016, table 1) for small pictures: a 3x3 stem and no pooling after it.

    Four stages (w, 2w, 4w, 8w), two blocks each; the stem halves pictures of 64 pixels and more, so that the stages
    see 32, 16, 8 and 4 pixels either way.
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
    """Adds what a path computes to what went in."""

    def __init__(self, path: nn.Module) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> the same shape
        both: Tensor = x + self.path(x)
        return both


def build_resnet9(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The small residual network that learns CIFAR-10 fastest for its size (Page 2018, "How to train your ResNet").

    Widths w, 2w, 4w, 8w; the picture is halved three times, four times from 64 pixels on, then its largest answers
    count. It spends most at full resolution, unlike `resnet`, and is slower and more accurate.
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
    """Plain convolutions behind a whitening layer, the fastest known way to a good CIFAR-10 network (Jordan 2024,
    "94% on CIFAR-10 in 3.29 seconds on a single GPU", section 3).

    Each width is a stage that halves the picture and has two 3x3 convolutions, begun so that they hand on what they
    get. The first layer looks at 2x2 pixels; `whiten_` fixes it to the statistics of the training pictures, otherwise
    it learns like any other.
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
    """Multiplies by a number that is not learned."""

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
        Whether `model` has such a layer; any other network is left alone.
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


MODELS: dict[str, ModelFamily] = {
    "mlp": ModelFamily(r"mlp(-\d+)+", "mlp-64", "fully connected layers of the given widths", build_mlp),
    "inkmlp": ModelFamily(r"inkmlp(-\d+)+", "inkmlp-64", "the same, for ink on empty paper", build_ink_mlp),
    "dropoutmlp": ModelFamily(
        r"dropoutmlp(-\d+)+", "dropoutmlp-1200-1200", "like inkmlp, learning with dropout", build_dropout_mlp
    ),
    "airbench": ModelFamily(
        r"airbench(-\d+)+", "airbench-64-256-256", "Jordan's fast plain network, by stage widths", build_airbench
    ),
    "convnet": ModelFamily(r"convnet-\d+", "convnet-8", "three convolutions, by first width", build_convnet),
    "resnet9": ModelFamily(r"resnet9-\d+", "resnet9-64", "Page's fast residual network, by first width", build_resnet9),
    "resnet18": ModelFamily(
        r"resnet18-\d+", "resnet18-32", "He's 18 layers for small pictures, by first width", build_resnet18
    ),
    "resnet": ModelFamily(r"resnet-\d+", "resnet-32", "residual network, by first width", build_resnet),
}


def parse_model(name: str) -> tuple[ModelFamily, list[int]]:
    """The family and the widths that `name` says.

    Raises:
        UnknownName: no family writes its names like this.
        ConfigError: a width that cannot be built.
    """
    family = MODELS.get(name.split("-", 1)[0])
    if family is None or not re.fullmatch(family.pattern, name):
        raise UnknownName("model", name, (f"{family.example}" for family in MODELS.values()))
    widths = [int(part) for part in name.split("-")[1:]]
    if any(not 2 <= width <= MAX_WIDTH for width in widths) or len(widths) > 8:
        raise ConfigError(f'"{name}" is not buildable: up to 8 widths, each from 2 to {MAX_WIDTH}.')
    return family, widths


def build_model(name: str, image_shape: tuple[int, int, int], num_classes: int, seed: int | None = None) -> nn.Module:
    """The network called `name` with fresh weights, the same for the same `seed`.

    Args:
        image_shape: (C, H, W) of the pictures it takes.

    Raises:
        UnknownName, ConfigError: as `parse_model`.
    """
    if seed is not None:
        with torch.random.fork_rng(devices=[]):  # leaves the caller's random numbers alone
            torch.manual_seed(seed)
            return build_model(name, image_shape, num_classes)
    if ":" in name:  # a teacher from another library; never a student, whose name `parse_model` reads
        from kdcore.library_networks import build_library_network

        return build_library_network(name, image_shape, num_classes)
    family, widths = parse_model(name)
    return family.build(widths, image_shape, num_classes)


def count_params(model: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one picture's forward pass (matrix products and convolutions)."""
    training = model.training
    parameter = next(model.parameters())
    picture = torch.zeros(1, *image_shape, device=parameter.device, dtype=parameter.dtype)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(picture)
    model.train(training)
    return int(counter.get_total_flops()) // 2
