"""How much disk space a run needs, and the check that it is free."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kdcore.errors import KdError
from kdcore.machine import disk

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from kdcore.methods.method import Shape
    from kdcore.settings.config import RunConfig


# Bytes for everything that is not estimated: the runs database, the log, a teacher that is trained first.
MARGIN = 64 * 2**20


class NoSpace(KdError):
    """The disk has no room for a run."""


def space_needed(config: RunConfig) -> int:
    """Return an upper estimate of the bytes that a run occupies at the same time.

    It counts two checkpoints of all students (with stages, peers of mutual learning and the adapters of feature
    losses), two copies of the teacher_logits, and the finished models.

    Raises:
        KdError: the dataset or the student is unknown.
    """
    # These load torch, which takes seconds.
    from kdcore.datasets import dataset_info
    from kdcore.methods.registry import find_method
    from kdcore.networks.registry import count_params, model_without_weights
    from kdcore.settings.defaults import defaults_for
    from kdcore.settings.extra_pictures import extra_count
    from kdcore.settings.stages import stages_of
    from kdcore.settings.sweeps import points, teachers_of

    info = dataset_info(config.dataset)

    @cache
    def size(model: str) -> int:
        return 4 * count_params(model_without_weights(model, info.image_shape, info.num_classes))

    main_arms = 3 + len(config.controls)  # baseline, distilled, the student of the true posterior, controls
    weights = extra = 0
    for point in points(config):
        student, method = size(point.config.student), find_method(point.config.method)
        weights += student * (main_arms if point.main else 2)
        extra += sum(size(stage.model) for stage in stages_of(point.config))  # checkpoints keep them until the run ends
        if method.has_peer:
            extra += student
        if method.features is not None and method.features.build_adapter is not None:
            # unknown teacher: assume the size of the student
            extra += _adapter_bytes(point.config, method.features.build_adapter) or student
    students = len(config.seeds) * 3 * (weights + extra)  # the weights and both moments of AdamW
    views = len(defaults_for(config.dataset).views)
    pictures = info.train_size + extra_count(config.extra_pictures, info)
    logits = 2 * views * pictures * info.num_classes * len(teachers_of(config))  # two bytes a number (fp16)
    return 2 * students + 2 * logits + weights + MARGIN  # an old file stays until the new one is complete


def _adapter_bytes(config: RunConfig, build_adapter: Callable[[Shape, Shape], nn.Module]) -> int | None:
    """Return the bytes of the adapter that is trained with the student; None if the teacher's network is unknown."""
    # These load torch, which takes seconds.
    from kdcore.networks.registry import count_params
    from kdcore.settings.feature_layers import compared_shapes

    shapes = compared_shapes(config)
    return None if shapes is None else 4 * count_params(build_adapter(*shapes))


def check_space(config: RunConfig, folder: Path) -> None:
    """Refuse a run that would fill the disk.

    Raises:
        NoSpace: fewer bytes are free than `space_needed` estimates.
    """
    needed, free = space_needed(config), disk.free_space(folder)
    if free is not None and free < needed:
        raise NoSpace(
            f"This run may need {_megabytes(needed)} on the disk of {folder} and {_megabytes(free)} are free; "
            "free some space, or choose a smaller student or fewer seeds."
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
