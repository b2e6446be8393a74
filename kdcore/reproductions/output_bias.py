"""The output bias that a transfer set gets wrong, put right without a label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SPAN = 100.0  # logits; further apart than any two of a network here
HALVINGS = 60


def share_of(hard_labels: Tensor, classes: Sequence[int]) -> float:
    """The share of pictures that belong to any of `classes`; int64 [N]."""
    return float(torch.isin(hard_labels, torch.tensor(classes)).double().mean())


def corrected(logits: Tensor, classes: Sequence[int], offset: float) -> Tensor:
    """Logits [..., K] with `offset` added to those of `classes`."""
    answer = logits.clone()
    answer[..., list(classes)] += offset
    return answer


def fit_offset(logits: Tensor, classes: Sequence[int], share: float) -> float:
    """The one number which, added to the logits of all `classes`, gives them the mean probability `share`.

    A student that never saw a class, or only saw one, has learned wrong how frequent it is, and nothing else about it
    need be wrong (Hinton, Vinyals, Dean 2015, section 3, who chose this number on test). How frequent classes are is
    known from the pictures that the teacher learned from; how often a student expects them is seen on any pictures of
    the same kind, without a label. The mean probability grows with the offset, so halving an interval finds it.

    Args:
        logits: [N, K], the student's on pictures that are as frequent by class as those it will meet.
        share: 0 to 1, both excluded.
    """
    inside = torch.zeros(logits.shape[-1], dtype=torch.bool)
    inside[list(classes)] = True
    # Two sums are enough: p = sigmoid(offset + log-mass inside - log-mass outside), picture by picture.
    wide = logits.double()
    margin = wide[:, inside].logsumexp(1) - wide[:, ~inside].logsumexp(1)  # [N]
    low, high = -SPAN, SPAN
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if float(torch.sigmoid(margin + middle).mean()) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
