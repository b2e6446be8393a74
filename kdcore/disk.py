"""Room on the disk: what a run needs, whether it is there, and what is said and done when it is full."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kdcore.errors import KdError

if TYPE_CHECKING:
    from kdcore.config import RunConfig

MARGIN = 64 * 2**20  # bytes for the runs database, the log, a teacher that is trained first, and others
FULL = (errno.ENOSPC, errno.EDQUOT)
PATIENCE_SECONDS = 20.0  # how long a full disk is waited for
LOOK_SECONDS = 1.0


class NoSpace(KdError):
    """The disk has no room for a run."""


def space_needed(config: RunConfig) -> int:
    """Bytes that a run may need at once, at most: two checkpoints of all students (stages, peers and the regressors of
    hints too), the teacher's logits, the models.

    Raises:
        KdError: an unknown dataset or student.
    """
    from kdcore.datasets import dataset_info
    from kdcore.defaults import defaults_for
    from kdcore.methods import find_method
    from kdcore.models import count_params, outline
    from kdcore.stages import stages_of
    from kdcore.sweeps import points, teachers_of

    info = dataset_info(config.dataset)

    @cache
    def size(model: str) -> int:
        return 4 * count_params(outline(model, info.image_shape, info.num_classes))

    every = points(config)
    own = 3 + len(config.controls)  # baseline, distilled, the one taught by the true posterior, controls
    weights = sum(size(point.config.student) * (own if point.main else 2) for point in every)
    beside = sum(size(stage.model) for point in every for stage in stages_of(point.config))  # they stay till the end
    for one in (point.config for point in every):
        beside += size(one.student) if find_method(one.method).uses == "peer" else 0
        if one.method == "fitnets":  # of a teacher that is not known, as much as the student has
            beside += _regressor(one) or size(one.student)
    students = len(config.seeds) * 3 * (weights + beside)  # the weights and both moments of AdamW
    views = len(defaults_for(config.dataset).views)
    logits = 2 * views * info.train_size * info.num_classes * len(teachers_of(config))  # fp16
    return 2 * students + 2 * logits + weights + MARGIN  # what is replaced stays until the new one is whole


def _regressor(config: RunConfig) -> int | None:
    """Bytes of the layer that learns beside a student with hints; None for a teacher whose network is not known."""
    from kdcore.feature_lessons import lesson_shapes
    from kdcore.feature_losses import build_regressor
    from kdcore.models import count_params

    shapes = lesson_shapes(config)
    return None if shapes is None else 4 * count_params(build_regressor(*shapes))


def free_space(folder: Path) -> int | None:
    """Bytes free where `folder` is or will be; None where the system does not tell."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
    return None


def check_space(config: RunConfig, folder: Path) -> None:
    """Refuse a run that would fill the disk.

    Raises:
        NoSpace: there is less room than `space_needed`; one sentence.
    """
    needed, free = space_needed(config), free_space(folder)
    if free is not None and free < needed:
        raise NoSpace(
            f"This run may need {_megabytes(needed)} on the disk of {folder} and {_megabytes(free)} are free; "
            "free some space, or choose a smaller student or fewer seeds."
        )


def patiently(write: Callable[[], None]) -> None:
    """Do it, and while the disk is full, again: others may free some space.

    Raises:
        OSError: the disk stays full, or something else is wrong with it.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            write()
            return
        except OSError as error:
            if error.errno not in FULL or time.monotonic() > end:
                raise
        time.sleep(LOOK_SECONDS)


def trouble(error: OSError) -> str:
    """The second half of a sentence about a file that could not be written: why, and what to do next."""
    if error.errno in FULL:
        return "because the disk is full; free some space and resume the run"
    why = error.strerror or type(error).__name__
    return f"({why}); set KDCORE_HOME to a folder that may be written, or put this one right and resume the run"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
