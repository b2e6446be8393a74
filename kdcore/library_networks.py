"""Networks of other libraries by name: `torchvision:resnet50`, and `timm:resnet50.a1_in1k` where timm is installed.

They take the same pictures as every network here (`views.to_float`, -1 to 1) and bring them to their own scale
themselves. Their weights keep the names that their library gives them, so that its files fit.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from kdcore.errors import ConfigError, UnknownName
from kdcore.vision import build_classifier, classifier_names, classifier_weights

LARGEST = 1024  # pixels a side
MOST_CLASSES = 30_000

# What torchvision sets together with its published weights: without it they do not fit, and fresh ones take long.
WITH_WEIGHTS: dict[str, dict[str, Any]] = {
    name: {"aux_logits": True, "init_weights": False, "transform_input": True} for name in ("googlenet", "inception_v3")
}


class OwnScale(nn.Module):
    """From -1..1 to the mean and standard deviation (shares of white, a channel each) that a network learned with."""

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        middle, width = (torch.tensor(list(values)).view(-1, 1, 1) for values in (mean, std))
        # Not persistent: a file of the library holds no such thing.
        self.register_buffer("scale", 0.5 / width, persistent=False)
        self.register_buffer("shift", (0.5 - middle) / width, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:  # float [B, C, H, W] -> the same shape
        return pictures * self.scale + self.shift


def _rescale(network: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (network.own_scale(inputs[0]),)  # type: ignore[operator]


def take_own_scale(network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """Let a network take pictures of -1 to 1, though it learned from pictures of another scale."""
    network.add_module("own_scale", OwnScale(mean, std))
    network.register_forward_pre_hook(_rescale)
    return network


def build_library_network(name: str, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The network called `LIBRARY:NAME`, with fresh weights.

    Args:
        image_shape: (3, H, W) of the pictures it takes.

    Raises:
        UnknownName: no such library, or it has no such classifier.
        ConfigError: it takes no such pictures, or its library is not installed.
    """
    library, _, inner = name.partition(":")
    build = {"torchvision": _build_torchvision, "timm": _build_timm}.get(library)
    if build is None:
        raise UnknownName("model", name, ("torchvision:NAME", "timm:NAME"))
    channels, height, width = image_shape
    if channels != 3 or not (1 <= height <= LARGEST and 1 <= width <= LARGEST) or not 2 <= num_classes <= MOST_CLASSES:
        raise ConfigError(
            f"{name} takes colour pictures of at most {LARGEST} pixels a side and 2 to {MOST_CLASSES} classes, not "
            f"{num_classes} classes of pictures {channels} x {height} x {width}."
        )
    try:
        return build(inner, image_shape, num_classes)
    except (ValueError, RuntimeError, AssertionError, TypeError) as error:
        raise ConfigError(f"{name} cannot be built for pictures of {width} x {height} pixels ({error}).") from error


def _build_torchvision(name: str, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    names = classifier_names()
    if name not in names:
        raise UnknownName("torchvision classifier", name, get_close_matches(name, names, 6, 0.0))
    options = dict(WITH_WEIGHTS.get(name, {}))
    if name.startswith("vit_"):
        options["image_size"] = image_shape[1]
    preset = classifier_weights(name).transforms()
    return take_own_scale(build_classifier(name, num_classes=num_classes, **options), preset.mean, preset.std)


def _build_timm(name: str, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    timm = load_timm()
    if not timm.is_model(name):
        raise UnknownName("timm model", name, timm.list_models(f"*{name[:12]}*")[:20] or ["resnet50"])
    network = timm.create_model(name, pretrained=False, num_classes=num_classes)
    return take_own_scale(network, network.pretrained_cfg["mean"], network.pretrained_cfg["std"])


def load_timm() -> Any:
    """The timm library.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ConfigError(
            "timm is not installed, and networks called timm:NAME need it; install it with: pip install timm."
        ) from error
