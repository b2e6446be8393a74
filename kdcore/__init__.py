"""kdcore: train students by knowledge distillation and measure what the teacher's soft labels add.

    import kdcore

    config = kdcore.make_run_config("creatures", labels=100, seeds=5)
    for event in kdcore.train(config):
        ...

A name is imported when it is first used, so that `import kdcore` itself is fast and does not load PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdcore.datasets import DATASETS, Dataset, Split, load_dataset
    from kdcore.errors import KdError
    from kdcore.events import (
        CheckpointSaved,
        EpochEnded,
        Event,
        RunFailed,
        RunFinished,
        RunStarted,
        TeacherCached,
    )
    from kdcore.methods.losses import distill_loss, hard_loss, kd_loss
    from kdcore.metrics.soft_labels import soften
    from kdcore.networks.registry import MODELS, build_model
    from kdcore.pictures.decode import open_picture
    from kdcore.settings.config import RunConfig, make_run_config
    from kdcore.teachers.card import ModelCard, list_teachers
    from kdcore.teachers.load import load_teacher
    from kdcore.teachers.predict import predict
    from kdcore.teachers.teacher import Teacher
    from kdcore.training.trainer import train

_MODULE_NAMES = {
    "settings.config": ("RunConfig", "make_run_config"),
    "datasets": ("DATASETS", "Dataset", "Split", "load_dataset"),
    "errors": ("KdError",),
    "events": (
        "CheckpointSaved",
        "EpochEnded",
        "Event",
        "RunFailed",
        "RunFinished",
        "RunStarted",
        "TeacherCached",
    ),
    "methods.losses": ("distill_loss", "hard_loss", "kd_loss"),
    "networks.registry": ("MODELS", "build_model"),
    "pictures.decode": ("open_picture",),
    "metrics.soft_labels": ("soften",),
    "teachers.predict": ("predict",),
    "teachers.card": ("ModelCard", "list_teachers"),
    "teachers.teacher": ("Teacher",),
    "teachers.load": ("load_teacher",),
    "training.trainer": ("train",),
}

__all__ = [
    "DATASETS",
    "MODELS",
    "CheckpointSaved",
    "Dataset",
    "EpochEnded",
    "Event",
    "KdError",
    "ModelCard",
    "RunConfig",
    "RunFailed",
    "RunFinished",
    "RunStarted",
    "Split",
    "Teacher",
    "TeacherCached",
    "build_model",
    "distill_loss",
    "hard_loss",
    "kd_loss",
    "list_teachers",
    "load_dataset",
    "load_teacher",
    "make_run_config",
    "open_picture",
    "predict",
    "soften",
    "train",
]


def __getattr__(name: str) -> Any:
    for module, names in _MODULE_NAMES.items():
        if name in names:
            return getattr(importlib.import_module(f"kdcore.{module}"), name)
    raise AttributeError(f"module 'kdcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
