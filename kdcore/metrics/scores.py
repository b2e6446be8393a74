"""Metrics on test pictures, each with a 95 % interval. All intervals are conditional on the teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import special  # not scipy.stats, which takes most of a second to import
from torch import Tensor

from kdcore.metrics.few_pictures import ADDED_TO_DIFFERENCE, ece_bins
from kdcore.metrics.intervals import (
    CONFIDENCE,
    Estimate,
    picture_estimate,
    seed_estimate,
    wilson,
)


def proportion_estimate(is_correct: Tensor) -> Estimate:
    """Share of ones in `is_correct` ([N] of 0 and 1, from one model) with its Wilson interval over pictures; without a
    mean if there is no picture."""
    if not len(is_correct):
        return Estimate(None, None, (None,))
    share = float(is_correct.double().mean())
    return Estimate(share, wilson(int(is_correct.sum()), len(is_correct)), (share,))


def correct(logits: Tensor, hard_labels: Tensor) -> Tensor:
    """Which pictures have their largest logit at the hard label: [..., N, K] and [N] -> bool [..., N]."""
    return logits.argmax(-1) == hard_labels


def accuracy(logits: Tensor, hard_labels: Tensor) -> Estimate:
    """Share of pictures with the largest logit at the hard label; logits [S, N, K], hard labels int64 [N]."""
    return picture_estimate(_unless_nan(correct(logits, hard_labels), logits), 0.0, 1.0)


def _unless_nan(values: Tensor, logits: Tensor) -> Tensor:
    """Return values [S, N], with NaN for every picture of a seed that has a NaN among its logits, [S, N, K].

    Such a network chooses no class, although `argmax` returns one.
    """
    return values.double().masked_fill(logits.isnan().flatten(1).any(1)[:, None], math.nan)


def nll(logits: Tensor, hard_labels: Tensor) -> Estimate:
    """Mean negative log-likelihood of the hard labels in nats, at T = 1; logits [S, N, K], hard labels int64 [N]."""
    log_probs = F.log_softmax(logits.float(), dim=-1)
    chosen = log_probs.gather(-1, hard_labels.expand(len(logits), -1)[..., None])[..., 0]
    return picture_estimate(-chosen, 0.0)


def agreement(student_logits: Tensor, teacher_logits: Tensor) -> Estimate:
    """Share of pictures for which student and teacher choose the same class; logits [S, N, K] and [N, K]."""
    agreed = correct(student_logits, teacher_logits.argmax(-1))
    return picture_estimate(_unless_nan(agreed, student_logits), 0.0, 1.0)


def kl_to_teacher(student_logits: Tensor, teacher_logits: Tensor) -> Estimate:
    """Mean KL(teacher ‖ student) at T = 1 in nats; logits [S, N, K] and [N, K].

    A class that the teacher rules out (its logit is -inf) adds 0.
    """
    student = F.log_softmax(student_logits.float(), dim=-1)
    teacher = F.log_softmax(teacher_logits.float(), dim=-1).expand_as(student)
    divergence = F.kl_div(student, teacher, reduction="none", log_target=True)
    return picture_estimate(divergence.masked_fill(teacher.isneginf(), 0.0).sum(-1), 0.0)


def paired_difference(arm: Tensor, other_arm: Tensor, hard_labels: Tensor) -> Estimate:
    """Accuracy of one arm minus the accuracy of another, such as distilled minus baseline.

    The difference is taken for each seed and picture before averaging.

    Args:
        arm, other_arm: logits [S, N, K].
        hard_labels: int64 [N].
    """
    first, second = (_unless_nan(correct(logits, hard_labels), logits) for logits in (arm, other_arm))
    return picture_estimate(first - second, -1.0, 1.0)


@dataclass(frozen=True)
class CalibrationBins:
    """Confidence and accuracy in groups of pictures, in order of confidence; each float64 [number of bins].

    Attributes:
        count: number of pictures.
        confidence: their mean confidence.
        accuracy: the share of them that the network has right.
        standard_error: of accuracy minus confidence.
    """

    count: Tensor
    confidence: Tensor
    accuracy: Tensor
    standard_error: Tensor


def calibration_bins(logits: Tensor, hard_labels: Tensor, bins: int | None = None) -> CalibrationBins:
    """Sort pictures into groups of equal size by confidence (largest probability at T = 1); logits [N, K].

    Args:
        bins: number of groups; by default as many as for the ECE, and one where the pictures are too few for it.
    """
    bins = bins or max(1, ece_bins(len(hard_labels)))
    confidence = logits.float().softmax(-1).amax(-1).double()
    right = correct(logits, hard_labels).double()
    order = confidence.argsort()
    groups = [group for group in order.tensor_split(bins) if len(group)]
    gap = right - confidence

    def error(group: Tensor) -> float:
        return float(gap[group].var(unbiased=True) / len(group)) ** 0.5 if len(group) > 1 else 0.0

    return CalibrationBins(
        count=torch.tensor([len(group) for group in groups], dtype=torch.float64),
        confidence=torch.stack([confidence[group].mean() for group in groups]),
        accuracy=torch.stack([right[group].mean() for group in groups]),
        standard_error=torch.tensor([error(group) for group in groups], dtype=torch.float64),
    )


def debiased_ece(logits: Tensor, hard_labels: Tensor) -> tuple[float, float]:
    """Expected calibration error (ECE) of one model without the bias of small bins, and its sampling variance.

    The gap of a bin is its accuracy minus its confidence. The plain estimate, the mean of |gap|, is above 0 even for a
    perfectly calibrated model, because the absolute value turns noise of either sign into a positive error. Here a
    bin's gap is measured on one random half of its pictures, and its sign is taken from the other half. With normal
    noise of standard error s, the expectation over all halvings is gap · (2 Φ(gap / s) - 1) - 2 s φ(gap / s). It is 0
    on average under perfect calibration and approaches |gap| if the gap is large compared with its noise.

    Args:
        logits: [N, K], used at T = 1.
        hard_labels: int64 [N].

    Returns:
        The ECE, which can be below 0, and its variance due to the sampling of the pictures; NaN for both if there are
        too few pictures for a bin.
    """
    pictures = len(hard_labels)
    if not ece_bins(pictures):
        return math.nan, math.nan
    table = calibration_bins(logits, hard_labels)
    gap, error = table.accuracy - table.confidence, table.standard_error.clamp(min=1e-12)
    weight = table.count / table.count.sum()
    ratio = (gap / error).numpy()
    density = np.exp(-0.5 * ratio**2) / math.sqrt(2 * math.pi)
    size = gap.numpy() * (2 * special.ndtr(ratio) - 1) - 2 * error.numpy() * density
    within = float((table.count.square() * error.square()).sum())  # the sum of squares within the bins
    variance = (within + ADDED_TO_DIFFERENCE.squares) / (pictures + ADDED_TO_DIFFERENCE.n) ** 2
    return float((weight.numpy() * size).sum()), variance


def ece(logits: Tensor, hard_labels: Tensor) -> Estimate:
    """Debiased expected calibration error, mean over seeds; logits [S, N, K].

    It is signed: that of a calibrated model is 0 on average, and so is sometimes below 0. Whoever shows it to people
    shows such a value as 0. With a single seed, the interval is over pictures and holds for that one model. Too few
    pictures for a bin give neither mean nor interval.
    """
    values = [debiased_ece(seed_logits, hard_labels) for seed_logits in logits]
    variance = sum(value[1] for value in values) / len(values)
    if len(values) == 1 and math.isfinite(values[0][0]):
        mean, half = values[0][0], float(special.ndtri((1 + CONFIDENCE) / 2)) * math.sqrt(variance)
        return Estimate(mean, (max(-1.0, mean - half), min(1.0, mean + half)), (mean,))
    return seed_estimate([value[0] for value in values], variance, -1.0, 1.0)


def confusion(logits: Tensor, hard_labels: Tensor) -> Tensor:
    """Confusion matrix summed over seeds, row = hard label, column = chosen class: logits [S, N, K] -> int64 [K, K]."""
    classes = logits.shape[-1]
    cells = hard_labels * classes + logits.argmax(-1)  # [S, N]
    return cells.flatten().bincount(minlength=classes * classes).view(classes, classes)


@dataclass(frozen=True)
class ClassAccuracy:
    """Accuracy on the n test pictures of one class: mean over seeds, and its 95 % Wilson interval over pictures."""

    accuracy: float
    n: int
    ci95: tuple[float, float]


def per_class(logits: Tensor, hard_labels: Tensor) -> tuple[ClassAccuracy, ...]:
    """Accuracy for each of the K classes; logits [S, N, K], hard labels int64 [N]."""
    right = correct(logits, hard_labels).double().mean(0)  # [N], mean over seeds
    rows = []
    for label in range(logits.shape[-1]):
        chosen = right[hard_labels == label]
        n = len(chosen)
        share = float(chosen.mean()) if n else 0.0
        rows.append(ClassAccuracy(share, n, wilson(round(share * n), n)))
    return tuple(rows)
