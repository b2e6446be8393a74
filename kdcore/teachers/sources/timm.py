"""timm's pretrained classifiers as teachers, named `timm:NAME`; timm must be installed.

timm fetches the weights itself and keeps them in its own cache. Only files in the safetensors format are accepted.
"""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from kdcore.errors import ConfigError, TeacherUnavailable, UnknownName
from kdcore.machine.torchvision_import import classifier_weights
from kdcore.networks.library import load_timm
from kdcore.networks.registry import build_model
from kdcore.teachers.card import UNKNOWN_DATASET, ModelCard
from kdcore.teachers.sources import imagenet
from kdcore.teachers.sources.own import check_new_name
from kdcore.teachers.sources.pretrained import save_pretrained

# Make timm load only `model.safetensors` from the Hugging Face hub: other sources may hold files that run code.
SAFE_ONLY = {"hf_hub_filename": "model.safetensors", "url": "", "file": "", "custom_load": False}


def add_timm(timm_name: str, name: str | None = None) -> ModelCard:
    """Fetch timm's pretrained network `timm_name` and make it a teacher of this machine.

    Args:
        timm_name: timm's name of the network, without the prefix `timm:`.
        name: the new teacher's name; None to make one from `timm_name`.

    Returns:
        The card of the new teacher.

    Raises:
        ConfigError: timm is not installed, it has no weights of a classifier on the hub, or the name cannot be used.
        UnknownName: timm has no such network.
        TeacherUnavailable: its weights could not be fetched.
        StoreError: the disk is full or cannot be written.
    """
    timm = load_timm()
    if not timm.is_model(timm_name):
        raise UnknownName("timm model", timm_name, timm.list_models(f"*{timm_name[:12]}*")[:10] or ["resnet50.a1_in1k"])
    name = check_new_name(name or timm_name.lower().replace(".", "-"))
    pretrained = _pretrained_config(timm, timm_name)
    fetched = _fetch(timm, timm_name)
    num_classes = int(pretrained.num_classes)
    class_names, superclasses = _class_names(num_classes)
    shape = (int(pretrained.input_size[0]), int(pretrained.input_size[1]), int(pretrained.input_size[2]))
    network = build_model(f"timm:{timm_name}", shape, num_classes, seed=0)  # its weights are loaded next
    network.load_state_dict(fetched.state_dict())
    return save_pretrained(
        network,
        name=name,
        dataset="imagenet" if num_classes == imagenet.NUM_CLASSES else UNKNOWN_DATASET,
        model=f"timm:{timm_name}",
        class_names=class_names,
        superclasses=superclasses,
        image_shape=shape,
        recipe={"source": str(pretrained.hf_hub_id), "timm": str(timm.__version__)},
        command=f"kdcore teachers add timm:{timm_name}",
        notes="From timm, whose pages say how it was trained; nothing was measured here.",
        resize=math.floor(max(shape[1:]) / float(pretrained.crop_pct)),
        interpolation="bicubic" if pretrained.interpolation == "bicubic" else "bilinear",
    )


def _pretrained_config(timm: Any, timm_name: str) -> Any:
    """timm's description of a network's pretrained weights: where they are, their classes and their preprocessing.

    Raises:
        ConfigError: there are no such weights, or they are of no classifier, or not on the hub.
    """
    try:
        pretrained = timm.get_pretrained_cfg(timm_name)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"timm has no weights called {timm_name} ({error}).") from error
    num_classes = int(getattr(pretrained, "num_classes", 0) or 0)
    if not getattr(pretrained, "hf_hub_id", None) or num_classes < 2:
        raise ConfigError(f"timm:{timm_name} has no published classifier in the safetensors format; choose another.")
    return pretrained


def _fetch(timm: Any, timm_name: str) -> nn.Module:
    """Let timm fetch the network with its pretrained weights.

    Raises:
        TeacherUnavailable: they could not be fetched in the safetensors format.
    """
    try:
        network: nn.Module = timm.create_model(timm_name, pretrained=True, pretrained_cfg_overlay=SAFE_ONLY)
    except Exception as error:  # timm passes on whatever its libraries raise
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise TeacherUnavailable(f"timm could not fetch {timm_name} as safetensors: {why.rstrip('.')}.") from error
    return network


def _class_names(num_classes: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and superclasses for a number of classes.

    1,000 classes are taken for ImageNet's, whose order all libraries share; for any other number the names are numbered
    and each class is its own superclass.
    """
    if num_classes != imagenet.NUM_CLASSES:
        names = tuple(f"class {index}" for index in range(num_classes))
        return names, names
    categories = classifier_weights("resnet50", "IMAGENET1K_V1").meta["categories"]
    return imagenet.unique_names(categories), imagenet.superclasses()
