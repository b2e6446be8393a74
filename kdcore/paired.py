"""Two students on the same test pictures: class by class, and picture by picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy import special
from torch import Tensor

from kdcore.metrics import CONFIDENCE, hits


@dataclass(frozen=True)
class ClassDifference:
    """Distilled minus baseline on the n test pictures of one class: difference of the shares right, and its 95 %
    interval."""

    mean: float
    n: int
    ci95: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean, "n": self.n, "ci95": list(self.ci95)}


def per_class_difference(distilled: Tensor, baseline: Tensor, hard_labels: Tensor) -> tuple[ClassDifference, ...]:
    """Paired difference of the shares right, class by class.

    The variance over pictures counts two more pictures, half of one in each of the four outcomes (both right, one,
    the other, none; Agresti and Min 2005): of few pictures the plain variance is too small, and 0 where all came out
    alike. With one seed the interval holds for these two networks, and is Student's t over the n + 2 pictures,
    because of 8 pictures the normal quantile covers the truth in 89 % of cases only. With more seeds it is Student's t
    over seeds with the same variance added, as everywhere (`metrics`).

    Args:
        distilled, baseline: logits [S, N, K], seed by seed from the same weights.
        hard_labels: [N].
    """
    gain = hits(distilled, hard_labels).double() - hits(baseline, hard_labels).double()  # [S, N] of -1, 0, 1
    return tuple(_difference(gain[:, hard_labels == label]) for label in range(distilled.shape[-1]))


def _difference(gain: Tensor) -> ClassDifference:
    """One class; [S, n]."""
    seeds, n = gain.shape
    if n == 0:
        return ClassDifference(0.0, 0, (-1.0, 1.0))
    by_picture = gain.mean(0)
    mean = float(by_picture.mean())
    shrunk = float(by_picture.sum()) / (n + 2)
    variance = ((float(by_picture.square().sum()) + 1) / (n + 2) - shrunk**2) / (n + 2)
    if seeds == 1:
        centre, quantile = shrunk, float(special.stdtrit(n + 1, (1 + CONFIDENCE) / 2))
    else:
        variance += float(gain.mean(1).var(unbiased=True)) / seeds
        centre, quantile = mean, float(special.stdtrit(seeds - 1, (1 + CONFIDENCE) / 2))
    half = quantile * math.sqrt(variance)
    return ClassDifference(mean, n, (max(-1.0, centre - half), min(1.0, centre + half)))


def mcnemar(only_one: int, only_other: int) -> float:
    """Exact McNemar test (1947), two-sided: how probable a split at least this uneven is, if both were equally good.

    Args:
        only_one, only_other: pictures that only the one, and only the other, has right.
    """
    smaller, both = min(only_one, only_other), only_one + only_other
    return min(1.0, 2 * float(special.bdtr(smaller, both, 0.5))) if both else 1.0
