"""Reliability diagram: how often a network is right at each level of confidence (DeGroot and Fienberg 1983)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kdcore.metrics.intervals import wilson
from kdcore.metrics.scores import calibration_bins


@dataclass(frozen=True)
class ReliabilityBin:
    """A group of n pictures of similar confidence.

    Attributes:
        confidence: their mean confidence.
        accuracy: the share of them that the network has right.
        ci95: 95 % Wilson interval of `accuracy`.
    """

    n: int
    confidence: float
    accuracy: float
    ci95: tuple[float, float]


def reliability(logits: Tensor, hard_labels: Tensor, bins: int | None = None) -> tuple[ReliabilityBin, ...]:
    """The bins from which the ECE is computed: groups of equal size in order of confidence, at T = 1.

    Args:
        logits: [N, K] of one network.
        hard_labels: int64 [N].
        bins: number of groups, as for `calibration_bins`.
    """
    table = calibration_bins(logits, hard_labels, bins)
    rows = zip(table.count.tolist(), table.confidence.tolist(), table.accuracy.tolist(), strict=True)
    return tuple(
        ReliabilityBin(int(count), confidence, accuracy, wilson(round(accuracy * count), int(count)))
        for count, confidence, accuracy in rows
    )
