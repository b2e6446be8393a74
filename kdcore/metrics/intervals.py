"""95 % intervals over seeds and test pictures.

Intervals over several seeds use Student's t over seeds, with the sampling variance of the test pictures added: all
seeds share the test pictures, so their spread alone says nothing about other pictures. Fewer test pictures than
`FEWEST_PICTURES` give no interval over seeds. All intervals are conditional on the teacher.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy import special  # not scipy.stats, which takes most of a second to import
from torch import Tensor

from kdcore.metrics.few_pictures import FEWEST_PICTURES, added_between

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval.

    Attributes:
        mean: None if the value of any seed is not a finite number, as that of a network that diverged.
        ci95: None without a mean, or if one seed, or few pictures, or values without any variance allow no interval.
        per_seed: the value of each seed; None where it is not a finite number.
    """

    mean: float | None
    ci95: tuple[float, float] | None
    per_seed: tuple[float | None, ...]

    def to_json(self) -> dict[str, Any]:
        interval = None if self.ci95 is None else list(self.ci95)
        return {"mean": self.mean, "ci95": interval, "per_seed": list(self.per_seed)}


def seed_estimate(
    per_seed: Sequence[float], test_variance: float, low: float = -math.inf, high: float = math.inf
) -> Estimate:
    """Mean over K seeds with an interval of half width t(K - 1) · sqrt(s² / K + test_variance), clipped to the bounds.

    Args:
        per_seed: the value of each seed; a single seed has no interval, nor have several without any variance.
        test_variance: variance of the mean due to the sampling of the test pictures; infinite gives no interval.
        low, high: smallest and largest possible value of the quantity.
    """
    values = torch.tensor(list(per_seed), dtype=torch.float64)
    clipped = values.clamp(low, high)
    if not bool(values.isfinite().all()):
        return Estimate(None, None, tuple(value if math.isfinite(value) else None for value in clipped.tolist()))
    count, mean = len(values), float(values.mean())
    interval = None
    variance = float(values.var(unbiased=True)) / count + test_variance if count > 1 else math.inf
    if 0.0 < variance < math.inf:
        half = float(special.stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * math.sqrt(variance)
        interval = (min(max(mean - half, low), high), min(max(mean + half, low), high))
    return Estimate(min(max(mean, low), high), interval, tuple(clipped.tolist()))


def picture_estimate(values: Tensor, low: float = -math.inf, high: float = math.inf) -> Estimate:
    """Estimate of a mean over test pictures and seeds, from the value of every seed on every picture.

    Between finite bounds the variance over pictures is computed with `added_between` them, so that values without any
    variance have an interval too.

    Args:
        values: [S, N], for example 1 where seed s has picture n right.
        low, high: smallest and largest possible value.
    """
    values = values.double()
    by_picture, added = values.mean(0), added_between(low, high)  # [N]
    if len(by_picture) < FEWEST_PICTURES:
        test_variance = math.inf
    elif added is None:
        test_variance = float(by_picture.var(unbiased=True)) / len(by_picture)
    else:
        _mean, test_variance = added.mean_and_variance(by_picture)
    return seed_estimate(values.mean(1).tolist(), test_variance, low, high)


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % interval of the proportion right / n (Wilson 1927), valid also if n is small or the share is near 0 or 1."""
    if n == 0:
        return 0.0, 1.0
    z = float(special.ndtri((1 + CONFIDENCE) / 2))
    share, scale = right / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)
