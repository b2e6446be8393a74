"""The one door to torchvision.

A CPU-only torch beside torchvision's ordinary wheel (built for CUDA) cannot load torchvision's compiled operators,
and then `import torchvision` fails with "operator torchvision::nms does not exist". Nothing here needs those
operators, only their names: declaring the two schemas first lets the import through. Where the real operators
load, nothing is declared.
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
    """Whether torchvision's compiled operators are there, loading them if they can be."""
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


# A declaration lives as long as its Library object.
DECLARED = _declare_schemas()

from torchvision.transforms import InterpolationMode  # noqa: E402
from torchvision.transforms.v2 import functional as transforms  # noqa: E402


def published_dataset(name: str) -> Any:
    """torchvision's dataset class called `name`, with its addresses and checksums."""
    from torchvision import datasets

    return getattr(datasets, name)


def classifier_names() -> list[str]:
    """torchvision's classifiers."""
    from torchvision import models

    return list(models.list_models(module=models))


def classifier_weights(name: str, which: str = "DEFAULT") -> Any:
    """A member of the classifier's enum of weights: their address, preprocessing and what is published of them."""
    from torchvision import models

    return models.get_model_weights(name)[which]


def build_classifier(name: str, **options: Any) -> torch.nn.Module:
    """torchvision's classifier with fresh weights."""
    from torchvision import models

    network: torch.nn.Module = models.get_model(name, weights=None, **options)
    return network


__all__ = [
    "DECLARED",
    "InterpolationMode",
    "build_classifier",
    "classifier_names",
    "classifier_weights",
    "published_dataset",
    "transforms",
]
