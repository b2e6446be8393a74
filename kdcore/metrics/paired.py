"""Comparison of two students on the same test pictures: by class, and by a test over pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy import special
from torch import Tensor

from kdcore.metrics.few_pictures import ADDED_TO_DIFFERENCE
from kdcore.metrics.intervals import CONFIDENCE
from kdcore.metrics.scores import correct


@dataclass(frozen=True)
class ClassDifference:
    """Accuracy of distilled minus baseline on the n test pictures of one class, with a 95 % interval."""

    mean: float
    n: int
    ci95: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean, "n": self.n, "ci95": list(self.ci95)}


def per_class_difference(distilled: Tensor, baseline: Tensor, hard_labels: Tensor) -> tuple[ClassDifference, ...]:
    """Paired difference in accuracy, for each class.

    The variance over pictures is computed with `ADDED_TO_DIFFERENCE`. Without these pictures it would be too small for
    few measured ones, and 0 if all of them had the same outcome. With one seed, the interval holds for these two
    networks only and uses Student's t over the n + 2 pictures, because with 8 pictures the normal quantile covers the
    true value in only 89 % of cases. With more seeds, it uses Student's t over seeds with the variance over pictures
    added, as do all other intervals. A class has an interval however few its pictures are, but nothing is claimed of
    fewer than `FEWEST_PICTURES`.

    Args:
        distilled, baseline: logits [S, N, K]; for each seed both started from the same weights.
        hard_labels: int64 [N].

    Returns:
        One difference for each of the K classes.
    """
    gain = correct(distilled, hard_labels).double() - correct(baseline, hard_labels).double()  # [S, N] of -1, 0, 1
    return tuple(_difference(gain[:, hard_labels == label]) for label in range(distilled.shape[-1]))


def _difference(gain: Tensor) -> ClassDifference:
    """The difference for one class.

    Args:
        gain: [S, n], 1 where only distilled is right, -1 where only the baseline is, else 0.
    """
    seeds, n = gain.shape
    if n == 0:
        return ClassDifference(0.0, 0, (-1.0, 1.0))
    mean = float(gain.mean())
    shrunk, variance = ADDED_TO_DIFFERENCE.mean_and_variance(gain.mean(0))
    if seeds == 1:
        centre, quantile = shrunk, float(special.stdtrit(n + 1, (1 + CONFIDENCE) / 2))
    else:
        variance += float(gain.mean(1).var(unbiased=True)) / seeds
        centre, quantile = mean, float(special.stdtrit(seeds - 1, (1 + CONFIDENCE) / 2))
    half = quantile * math.sqrt(variance)
    return ClassDifference(mean, n, (max(-1.0, centre - half), min(1.0, centre + half)))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact McNemar test (1947), two-sided: the probability of a split at least this uneven if both are equally good.

    Args:
        only_first, only_second: number of pictures that only the first network, or only the second, has right.

    Returns:
        The p-value.
    """
    smaller, total = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(special.bdtr(smaller, total, 0.5))) if total else 1.0
