"""Reliability: how often a network is right where it is so and so sure (DeGroot and Fienberg 1983)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kdcore.metrics import ECE_BINS, calibration_bins, wilson


@dataclass(frozen=True)
class ReliabilityBin:
    """Pictures of similar confidence: their mean confidence, the share of answers right, and its Wilson interval."""

    n: int
    confidence: float
    accuracy: float
    ci95: tuple[float, float]


def reliability(logits: Tensor, hard_labels: Tensor, bins: int = ECE_BINS) -> tuple[ReliabilityBin, ...]:
    """The bins behind the ECE: equal mass, in order of confidence, at T = 1; logits [N, K]."""
    table = calibration_bins(logits, hard_labels, bins)
    found = zip(table.count.tolist(), table.confidence.tolist(), table.accuracy.tolist(), strict=True)
    return tuple(
        ReliabilityBin(int(count), confidence, accuracy, wilson(round(accuracy * count), int(count)))
        for count, confidence, accuracy in found
    )
