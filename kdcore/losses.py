"""Losses: pure functions on tensors, in fp32, in nats, averaged over the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


def hard_loss(student_logits: Tensor, hard_labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy on the hard labels.

    With label smoothing s the target is (1 - s) on the hard label plus s / K on every class (Szegedy et al.
    2016, section 7).

    Args:
        student_logits: [B, K].
        hard_labels: int64 [B].
    """
    return F.cross_entropy(student_logits.float(), hard_labels, label_smoothing=label_smoothing)


def distill_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher ‖ student) at temperature T, batch mean (Hinton, Vinyals, Dean 2015, section 2).

    The gradient of the KL shrinks like 1 / T²; T² keeps its size, so that a change of temperature does not
    change the balance with the hard loss. Both sides stay log-probabilities, because a probability that
    underflowed has no logarithm.

    Args:
        student_logits, teacher_logits: [B, K].
    """
    student_log_probs = F.log_softmax(student_logits.float() / temperature, dim=1)
    teacher_log_probs = F.log_softmax(teacher_logits.float() / temperature, dim=1)
    divergence = F.kl_div(student_log_probs, teacher_log_probs, reduction="batchmean", log_target=True)
    return divergence * temperature**2


@dataclass(frozen=True)
class LossParts:
    """What a step optimises (`total`) and what it is made of; scalars."""

    total: Tensor
    hard: Tensor
    distill: Tensor | None = None


def baseline_loss(student_logits: Tensor, hard_labels: Tensor, label_smoothing: float = 0.0) -> LossParts:
    """The loss of a student without a teacher."""
    hard = hard_loss(student_logits, hard_labels, label_smoothing)
    return LossParts(total=hard, hard=hard)


def kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    hard_labels: Tensor,
    temperature: float,
    distill_weight: float,
    label_smoothing: float = 0.0,
) -> LossParts:
    """Hinton's knowledge distillation: (1 - w) · hard loss + w · distill loss (2015, section 2).

    Args:
        student_logits, teacher_logits: [B, K].
        hard_labels: int64 [B].
        distill_weight: w, 0 to 1.
    """
    hard = hard_loss(student_logits, hard_labels, label_smoothing)
    distill = distill_loss(student_logits, teacher_logits, temperature)
    total = (1 - distill_weight) * hard + distill_weight * distill
    return LossParts(total=total, hard=hard, distill=distill)
