"""The cache of teacher logits: each view of a picture passes through the teacher once, not once an epoch."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import torch
from torch import Tensor

from kdcore.datasets.base import Dataset
from kdcore.errors import ModelFileError, StoreError
from kdcore.machine.tensor_files import canonical_json, load_tensors, mark_used, save_tensors
from kdcore.networks.inference import compact
from kdcore.pictures.views import ViewSet
from kdcore.teachers.teacher import Teacher


def cached_teacher_logits(
    teacher: Teacher, dataset: Dataset, views: ViewSet, rows: Tensor, folder: Path
) -> tuple[Tensor, bool]:
    """The calibrated teacher logits of every view of the training pictures at `rows`.

    There is one file for each combination of what decides the logits: the teacher with its card's settings and the
    order of its classes, the dataset, the views, and the device's kind and precision. Rows that are not in it yet are
    computed and added. A file that cannot be read is computed anew, and one that cannot be written is skipped: neither
    fails a run.
    Logits beyond the range of float16 are kept in float32.

    Args:
        rows: int64 [M], indices into `dataset.train`.
        folder: where the files are kept.

    Returns:
        The logits, float16 or float32 [V, N, K] for V views of the N training pictures, NaN at rows that were never
        asked for; and whether all of them came from the file.

    Raises:
        ModelFileError: the teacher's logits for these pictures cannot be used (see `check_logits`).
    """
    key = {
        "dataset": dataset.sha256,
        "teacher": teacher.logits_key(),
        "class_names": teacher.card.class_names,
        "views": views.offsets,
        "computed_in": [teacher.device.torch.type, teacher.device.precision],
    }
    name = hashlib.sha256(canonical_json(key).encode()).hexdigest()[:32]
    path = folder / f"{name}.safetensors"
    shape = (len(views), len(dataset.train), len(teacher.card.class_names))
    logits = _read(path, shape)
    if logits is None:
        logits = torch.full(shape, torch.nan, dtype=torch.float16)
    missing = rows[logits[0, rows, 0].isnan()]
    if not len(missing):
        mark_used(path)
        return logits, True
    images = dataset.train.images[missing]
    for view in range(len(views)):
        found = compact(teacher.logits(views.apply(images, view)))
        logits = logits.to(torch.promote_types(logits.dtype, found.dtype))
        logits[view, missing] = found.to(logits.dtype)
    with contextlib.suppress(StoreError):
        save_tensors(path, {"logits": logits})
    return logits, False


def _read(path: Path, shape: tuple[int, int, int]) -> Tensor | None:
    if not path.exists():
        return None
    try:
        logits = load_tensors(path)[0].get("logits")
    except ModelFileError:
        return None
    if logits is None or tuple(logits.shape) != shape or logits.dtype not in (torch.float16, torch.float32):
        return None
    return None if bool(logits.isposinf().any()) else logits  # older versions rounded too large logits to infinity
