"""Correction, without labels, of the output bias that a transfer set with missing classes teaches wrongly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MAX_OFFSET = 100.0  # logits; more than the largest difference between two logits of any network here
HALVINGS = 60  # of the interval that is searched


def share_of(hard_labels: Tensor, classes: Sequence[int]) -> float:
    """Return the share of pictures that belong to any of `classes`; `hard_labels` are int64 [N]."""
    return float(torch.isin(hard_labels, torch.tensor(classes)).double().mean())


def add_offset(logits: Tensor, classes: Sequence[int], offset: float) -> Tensor:
    """Return a copy of logits [..., K] with `offset` added to those of `classes`."""
    corrected = logits.clone()
    corrected[..., list(classes)] += offset
    return corrected


def fit_offset(logits: Tensor, classes: Sequence[int], share: float) -> float:
    """Find the number which, added to the logits of all `classes`, gives these classes the mean probability `share`.

    A student whose transfer set lacks some classes learns wrong class frequencies, but may otherwise know these classes
    well (Hinton, Vinyals, Dean 2015, section 3; the authors chose this number on the test pictures). The true
    frequencies are known from the pictures that the teacher learned from. The student's mean probabilities can be
    measured on any similar pictures, without labels. They grow with the offset, so bisection finds it.

    Args:
        logits: [N, K], the student's on pictures in which classes are as frequent as in those of its later use.
        share: above 0 and below 1.
    """
    inside = torch.zeros(logits.shape[-1], dtype=torch.bool)
    inside[list(classes)] = True
    # Each picture's probability of `classes` is sigmoid(offset + margin), where margin is the log of the ratio of the
    # summed exponentials inside and outside `classes`.
    wide = logits.double()
    margin = wide[:, inside].logsumexp(1) - wide[:, ~inside].logsumexp(1)  # [N]
    low, high = -MAX_OFFSET, MAX_OFFSET
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if float(torch.sigmoid(margin + middle).mean()) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
