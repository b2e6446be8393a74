"""The only module that imports torchvision, with a workaround for a failing import.

A CPU-only torch beside torchvision's ordinary wheel (built for CUDA) cannot load torchvision's compiled operators,
and then `import torchvision` fails with "operator torchvision::nms does not exist". kdcore never calls those
operators, so it declares their two schemas first, which makes the import succeed. Where the real operators load,
nothing is declared.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _real_operators_load() -> bool:
    """Try to load torchvision's compiled operators; return whether they are available."""
    spec = importlib.util.find_spec("torchvision")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    for library in sorted(folder.glob("_C.*")) if folder is not None else ():
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
    return hasattr(torch.ops.torchvision, "nms")


def _declare_schemas() -> torch.library.Library | None:
    if _real_operators_load():
        return None
    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    return library


# Kept in a module constant, because a declaration ends when its Library object is deleted.
SCHEMA_LIBRARY = _declare_schemas()

from torchvision import datasets, models  # noqa: E402
from torchvision.transforms import InterpolationMode  # noqa: E402
from torchvision.transforms.v2 import functional as transforms  # noqa: E402


def published_dataset(name: str) -> Any:
    """torchvision's dataset class called `name`, which holds the download addresses and checksums."""
    return getattr(datasets, name)


def classifier_names() -> list[str]:
    """The names of torchvision's image classifiers."""
    return list(models.list_models(module=models))


def classifier_weights(name: str, which: str = "DEFAULT") -> Any:
    """The entry `which` of the classifier's weights enum, with its address, preprocessing and published figures."""
    return models.get_model_weights(name)[which]


def build_classifier(name: str, **options: Any) -> torch.nn.Module:
    """torchvision's classifier called `name` with random weights; `options` go to its constructor."""
    network: torch.nn.Module = models.get_model(name, weights=None, **options)
    return network


__all__ = [
    "InterpolationMode",
    "build_classifier",
    "classifier_names",
    "classifier_weights",
    "published_dataset",
    "transforms",
]
