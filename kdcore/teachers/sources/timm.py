"""timm's pretrained classifiers as teachers, named `timm:NAME`; timm must be installed.

timm fetches the weights itself and keeps them in its own cache. Only files in the safetensors format are accepted.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

from kdcore.errors import ConfigError, TeacherUnavailable, UnknownName
from kdcore.machine.torchvision_import import classifier_weights
from kdcore.networks.library import load_timm
from kdcore.networks.registry import build_model, count_macs, count_params
from kdcore.teachers.card import ModelCard, own_model_folder
from kdcore.teachers.sources import imagenet
from kdcore.teachers.sources.own import check_new_name
from kdcore.teachers.teacher import save_model

# Make timm load only `model.safetensors` from the Hugging Face hub: other sources may hold files that run code.
SAFE_ONLY = {"hf_hub_filename": "model.safetensors", "url": "", "file": "", "custom_load": False}


def add_timm(inner: str, name: str | None = None) -> ModelCard:
    """Fetch timm's pretrained network `inner` and make it a teacher of this machine.

    Args:
        inner: timm's name of the network, without the prefix `timm:`.
        name: the new teacher's name; None to make one from `inner`.

    Returns:
        The card of the new teacher.

    Raises:
        ConfigError: timm is not installed, it has no weights of a classifier on the hub, or the name cannot be used.
        UnknownName: timm has no such network.
        TeacherUnavailable: its weights could not be fetched.
        StoreError: the disk is full or cannot be written.
    """
    timm = load_timm()
    if not timm.is_model(inner):
        raise UnknownName("timm model", inner, timm.list_models(f"*{inner[:12]}*")[:10] or ["resnet50.a1_in1k"])
    name = check_new_name(name or inner.lower().replace(".", "-"))
    try:
        facts = timm.get_pretrained_cfg(inner)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"timm has no weights called {inner} ({error}).") from error
    classes = int(getattr(facts, "num_classes", 0) or 0)
    if not getattr(facts, "hf_hub_id", None) or classes < 2:
        raise ConfigError(f"timm:{inner} has no published classifier in the safetensors format; choose another.")
    try:
        fetched = timm.create_model(inner, pretrained=True, pretrained_cfg_overlay=SAFE_ONLY)
    except Exception as error:  # timm passes on whatever its libraries raise
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise TeacherUnavailable(f"timm could not fetch {inner} as safetensors: {why.rstrip('.')}.") from error
    shape = (int(facts.input_size[0]), int(facts.input_size[1]), int(facts.input_size[2]))
    class_names, above = _class_names(classes)
    network = build_model(f"timm:{inner}", shape, classes)
    network.load_state_dict(fetched.state_dict())
    card: dict[str, Any] = {
        "name": name,
        "role": "teacher",
        "dataset": "imagenet" if classes == imagenet.NUM_CLASSES else "unknown",
        "dataset_sha256": "",
        "model": f"timm:{inner}",
        "class_names": class_names,
        "superclasses": above,
        "image_shape": shape,
        "calibration": 1.0,
        "accuracy": None,
        "figures": {},
        "num_params": count_params(network),
        "macs": count_macs(network, shape),
        "recipe": {"source": str(facts.hf_hub_id), "timm": str(timm.__version__)},
        "command": f"kdcore teachers add timm:{inner}",
        "seeds": (),
        "date": datetime.date.today().isoformat(),
        "notes": "From timm, whose pages say how it was trained; nothing was measured here.",
        "resize": math.floor(max(shape[1:]) / float(facts.crop_pct)),
        "interpolation": "bicubic" if facts.interpolation == "bicubic" else "bilinear",
    }
    return save_model(own_model_folder(), network.eval(), card)


def _class_names(classes: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and superclasses for a number of classes.

    1,000 classes are taken for ImageNet's, whose order all libraries share; for any other number the names are numbered
    and each class is its own superclass.
    """
    if classes != imagenet.NUM_CLASSES:
        names = tuple(f"class {index}" for index in range(classes))
        return names, names
    categories = classifier_weights("resnet50", "IMAGENET1K_V1").meta["categories"]
    return imagenet.unique_names(categories), imagenet.superclasses()
