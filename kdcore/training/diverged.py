"""Finding the students that diverged, and leaving their numbers out.

A student diverges if its loss, its weights or its logits become infinite or not a number. The others go on: students
that are trained in one computation do not depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence

import torch
from torch import Tensor

from kdcore.events import Curves
from kdcore.metrics.divergence import Divergence
from kdcore.networks.inference import accuracy_of
from kdcore.training.students import Student

Key = tuple[str, int]  # the arm and the seed of a student


def accuracy_unless_diverged(logits: Tensor, hard_labels: Tensor) -> float:
    """Return a student's accuracy, from its logits [N, K]; NaN if they are not all finite numbers."""
    return accuracy_of(logits, hard_labels) if bool(logits.isfinite().all()) else math.nan


def epoch_curves(
    students: Sequence[Student], measured: Mapping[str, Mapping[Key, float]], diverged: Container[Key]
) -> Curves:
    """Return the curves of one epoch. A student's values are None if it diverged before, or if one is not finite.

    Args:
        measured: the values of each quantity, such as "train_loss", by student.
        diverged: the students that diverged before.
    """
    curves: Curves = {}
    for student in students:
        key = (student.arm, student.seed)
        usable = key not in diverged and all(math.isfinite(values[key]) for values in measured.values())
        for quantity, values in measured.items():
            per_seed = curves.setdefault(student.arm, {}).setdefault(quantity, [])
            per_seed.append(values[key] if usable else None)
    return curves


def diverged_students(students: Sequence[Student], history: Sequence[Curves]) -> dict[Key, Divergence]:
    """Return the students that diverged, from the curves of all epochs so far."""
    seeds: dict[str, list[int]] = {}
    for student in students:
        seeds.setdefault(student.arm, []).append(student.seed)
    found: dict[Key, Divergence] = {}
    for epoch, curves in enumerate(history, 1):
        for arm, quantities in curves.items():
            for values in quantities.values():
                for seed, value in zip(seeds[arm], values, strict=True):
                    if value is None or not math.isfinite(value):  # checkpoints of older versions hold NaN
                        found.setdefault((arm, seed), Divergence(arm, seed, epoch))
    return found


def leave_out_diverged(
    logits: Mapping[str, Tensor], seeds: Sequence[int], diverged: Sequence[Divergence], epochs: int
) -> tuple[dict[str, Tensor], tuple[Divergence, ...]]:
    """Set the logits of students that diverged to NaN, so that no figure is computed from them.

    Args:
        logits: of every arm on the test split, [S, N, K].
        diverged: the students that are known to have diverged.
        epochs: the epochs that were trained, as the epoch of students whose logits show that they diverged.

    Returns:
        The logits, and all students that diverged.
    """
    found = {(one.arm, one.seed): one for one in diverged}
    for arm, each in logits.items():
        for seed, finite in zip(seeds, each.isfinite().flatten(1).all(1).tolist(), strict=True):
            if not finite:
                found.setdefault((arm, seed), Divergence(arm, seed, epochs))
    left = dict(logits)
    for arm in {arm for arm, _ in found} & set(logits):
        lost = torch.tensor([(arm, seed) in found for seed in seeds])
        left[arm] = logits[arm].masked_fill(lost[:, None, None], math.nan)
    return left, tuple(found.values())
