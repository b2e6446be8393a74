"""Networks by name, such as `mlp-128-128`, `convnet-16` or `resnet-64`; the name fully specifies the architecture.

All take float pictures [B, C, H, W] in -1 to 1 (from `to_float`) and give logits [B, K].
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdcore.errors import ConfigError, UnknownName
from kdcore.networks.convolutional import build_airbench, build_convnet, build_resnet, build_resnet9, build_resnet18
from kdcore.networks.efficientnet_lite import build_efficientnet_lite0, is_efficientnet_lite0
from kdcore.networks.fully_connected import build_dropout_mlp, build_ink_mlp, build_mlp
from kdcore.networks.inference import eval_mode
from kdcore.networks.seeded import SeededDraws

MAX_WIDTH = 4096


@dataclass(frozen=True)
class ModelFamily:
    """One row of the registry of architectures.

    Attributes:
        pattern: regular expression of the names of its networks.
        build: builds a network from its widths, (C, H, W) of its pictures, and the number of classes.
    """

    pattern: str
    example: str
    description: str
    build: Callable[[list[int], tuple[int, int, int], int], nn.Module]


MODELS: dict[str, ModelFamily] = {
    "mlp": ModelFamily(r"mlp(-\d+)+", "mlp-64", "fully connected layers of the given widths", build_mlp),
    "inkmlp": ModelFamily(r"inkmlp(-\d+)+", "inkmlp-64", "like mlp, for digits on empty paper", build_ink_mlp),
    "dropoutmlp": ModelFamily(
        r"dropoutmlp(-\d+)+", "dropoutmlp-1200-1200", "like inkmlp, trained with dropout", build_dropout_mlp
    ),
    "airbench": ModelFamily(
        r"airbench(-\d+)+", "airbench-64-256-256", "Jordan's fast plain network, by stage widths", build_airbench
    ),
    "convnet": ModelFamily(r"convnet-\d+", "convnet-8", "three convolutions, by first width", build_convnet),
    "resnet9": ModelFamily(r"resnet9-\d+", "resnet9-64", "Page's fast residual network, by first width", build_resnet9),
    "resnet18": ModelFamily(
        r"resnet18-\d+", "resnet18-32", "He et al.'s 18 layers for small pictures, by first width", build_resnet18
    ),
    "resnet": ModelFamily(r"resnet-\d+", "resnet-32", "residual network, by first width", build_resnet),
}


def parse_model(name: str) -> tuple[ModelFamily, list[int]]:
    """The family and the layer widths in a network's name.

    Raises:
        UnknownName: `name` fits no family.
        ConfigError: a width is out of range, or there are too many.
    """
    family = MODELS.get(name.split("-", 1)[0])
    if family is None or not re.fullmatch(family.pattern, name):
        raise UnknownName("model", name, (f"{family.example}" for family in MODELS.values()))
    widths = [int(part) for part in name.split("-")[1:]]
    if any(not 2 <= width <= MAX_WIDTH for width in widths) or len(widths) > 8:
        raise ConfigError(f'"{name}" is not buildable: up to 8 widths, each from 2 to {MAX_WIDTH}.')
    return family, widths


def build_model(name: str, image_shape: tuple[int, int, int], num_classes: int, seed: int | None = None) -> nn.Module:
    """The network called `name` with random weights.

    Args:
        name: as in `parse_model`, or as in `is_efficientnet_lite0`, or `LIBRARY:NAME` as in `build_library_network`.
        image_shape: (C, H, W) of the pictures it takes.
        seed: of the weights; equal seeds give equal weights, whatever other threads draw meanwhile, and torch's global
            generator is neither used nor changed. None draws them from the global generator.

    Raises:
        UnknownName, ConfigError: as `parse_model` or `build_library_network`.
    """
    build = _builder(name)
    with contextlib.nullcontext() if seed is None else SeededDraws(seed):
        return build(image_shape, num_classes)


def _builder(name: str) -> Callable[[tuple[int, int, int], int], nn.Module]:
    """The function that builds the network called `name` from the shape of its pictures and its number of classes."""
    # These are only for teachers: `parse_model`, which checks students' names, refuses such names.
    if is_efficientnet_lite0(name):
        return partial(build_efficientnet_lite0, name)
    if ":" in name:
        from kdcore.networks.library import build_library_network  # loads torchvision, which takes seconds

        return partial(build_library_network, name)
    family, widths = parse_model(name)
    return partial(family.build, widths)


def model_without_weights(name: str, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The network called `name` on PyTorch's meta device: it has shapes and a size, but no values and needs no memory.

    Raises:
        UnknownName, ConfigError: as `parse_model`.
    """
    with torch.device("meta"):
        return build_model(name, image_shape, num_classes)


@lru_cache(maxsize=64)
def medium_model_name(small: str, most_params: int, image_shape: tuple[int, int, int], num_classes: int) -> str | None:
    """The name of a network of medium size, such as for a teacher assistant.

    All widths of `small` are multiplied by one factor, so that the number of parameters comes as near as possible to
    the geometric mean of the number of parameters of `small` and `most_params`.

    Returns:
        None if no such network has more parameters than `small` and fewer than `most_params`.

    Raises:
        UnknownName, ConfigError: as `parse_model`.
    """
    family, widths = small.split("-", 1)[0], parse_model(small)[1]
    least_params = count_params(model_without_weights(small, image_shape, num_classes))
    params_by_name: dict[str, int] = {}
    for quarter in range(1, int(4 * math.log2(MAX_WIDTH / max(widths))) + 1):  # factors of 2 ** (quarter / 4)
        name = "-".join([family, *(str(round(width * 2 ** (quarter / 4))) for width in widths)])
        params = count_params(model_without_weights(name, image_shape, num_classes))
        if params >= most_params:
            break
        if params > least_params:
            params_by_name[name] = params
    middle = math.sqrt(least_params * most_params)
    return min(params_by_name, key=lambda name: abs(math.log(params_by_name[name] / middle)), default=None)


def count_params(model: nn.Module) -> int:
    """Number of parameters of a network; buffers, such as the running statistics of batch norm, do not count."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Number of multiply-accumulate operations of one picture's forward pass (in matrix products and convolutions)."""
    parameter = next(model.parameters())
    picture = torch.zeros(1, *image_shape, device=parameter.device, dtype=parameter.dtype)
    with torch.no_grad(), eval_mode(model), FlopCounterMode(display=False) as counter:
        model(picture)
    return int(counter.get_total_flops()) // 2
