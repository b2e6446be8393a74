"""Networks of other libraries by name: `torchvision:resnet50`, or `timm:resnet50.a1_in1k` if timm is installed.

They take the same pictures as every network here (-1 to 1, from `to_float`) and rescale them internally to the mean
and standard deviation that they were trained with. Their parameters keep the library's names, so that its published
weight files can be loaded.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Any

from torch import nn

from kdcore.errors import ConfigError, UnknownName
from kdcore.machine.torchvision_import import build_classifier, classifier_names, classifier_weights
from kdcore.networks.normalisation import add_input_normalisation

MAX_SIDE_PIXELS = 1024  # largest side of a picture, pixels
MAX_CLASSES = 30_000

# Constructor options that torchvision uses with its published weights: with others those weights would not load, and
# random initialisation would be slow.
EXTRA_OPTIONS: dict[str, dict[str, Any]] = {
    name: {"aux_logits": True, "init_weights": False, "transform_input": True} for name in ("googlenet", "inception_v3")
}


def build_library_network(name: str, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The network called `LIBRARY:NAME`, with random weights.

    Args:
        image_shape: (3, H, W) of the pictures it takes.

    Raises:
        UnknownName: there is no such library, or the library has no such classifier.
        ConfigError: the network cannot take such pictures or so many classes, or its library is not installed.
    """
    library, _, inner = name.partition(":")
    build = {"torchvision": _build_torchvision, "timm": _build_timm}.get(library)
    if build is None:
        raise UnknownName("model", name, ("torchvision:NAME", "timm:NAME"))
    channels, height, width = image_shape
    if (
        channels != 3
        or not (1 <= height <= MAX_SIDE_PIXELS and 1 <= width <= MAX_SIDE_PIXELS)
        or not 2 <= num_classes <= MAX_CLASSES
    ):
        raise ConfigError(
            f"{name} takes colour pictures of at most {MAX_SIDE_PIXELS} pixels a side and 2 to {MAX_CLASSES} "
            f"classes, not {num_classes} classes of pictures {channels} x {height} x {width}."
        )
    try:
        return build(inner, image_shape, num_classes)
    except (ValueError, RuntimeError, AssertionError, TypeError) as error:
        raise ConfigError(f"{name} cannot be built for pictures of {width} x {height} pixels ({error}).") from error


def _build_torchvision(name: str, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    names = classifier_names()
    if name not in names:
        raise UnknownName("torchvision classifier", name, get_close_matches(name, names, 6, 0.0))
    options = dict(EXTRA_OPTIONS.get(name, {}))
    if name.startswith("vit_"):
        options["image_size"] = image_shape[1]
    preset = classifier_weights(name).transforms()
    return add_input_normalisation(build_classifier(name, num_classes=num_classes, **options), preset.mean, preset.std)


def _build_timm(name: str, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    timm = load_timm()
    if not timm.is_model(name):
        raise UnknownName("timm model", name, timm.list_models(f"*{name[:12]}*")[:20] or ["resnet50"])
    network = timm.create_model(name, pretrained=False, num_classes=num_classes)
    return add_input_normalisation(network, network.pretrained_cfg["mean"], network.pretrained_cfg["std"])


def load_timm() -> Any:
    """Import the timm library and return it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ConfigError(
            "timm is not installed, and networks called timm:NAME need it; install it with: pip install timm."
        ) from error
