"""Losses: pure functions on tensors, in fp32, in nats, averaged over the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Number = float | Tensor  # a setting: a number, or a scalar tensor where several students learn in one computation


def full_precision(values: Tensor) -> Tensor:
    """The same in fp32 at least; fp64 stays."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def divergence(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(softmax of the teacher ‖ softmax of the student), batch mean.

    Written out, because `F.kl_div` has no rule of its own under `vmap`.

    Args:
        student_logits, teacher_logits: [B, K].
    """
    student_log_probs = F.log_softmax(full_precision(student_logits), dim=1)
    teacher_log_probs = F.log_softmax(full_precision(teacher_logits), dim=1)
    return (teacher_log_probs.exp() * (teacher_log_probs - student_log_probs)).sum(1).mean()


def hard_loss(student_logits: Tensor, hard_labels: Tensor, label_smoothing: Number = 0.0) -> Tensor:
    """Cross-entropy on the hard labels.

    With label smoothing s the target is (1 - s) on the hard label plus s / K on every class (Szegedy et al.
    2016, section 7).

    Args:
        student_logits: [B, K].
        hard_labels: int64 [B].
    """
    log_probs = F.log_softmax(full_precision(student_logits), dim=1)
    on_label = log_probs.gather(1, hard_labels[:, None]).mean()
    return -((1 - label_smoothing) * on_label + label_smoothing * log_probs.mean())


def distill_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: Number) -> Tensor:
    """T² · KL(teacher ‖ student) at temperature T, batch mean (Hinton, Vinyals, Dean 2015, section 2).

    The gradient of the KL shrinks like 1 / T²; T² keeps its size, so that a change of temperature does not
    change the balance with the hard loss. Both sides stay log-probabilities, because a probability that
    underflowed has no logarithm.

    Args:
        student_logits, teacher_logits: [B, K].
    """
    student, teacher = full_precision(student_logits), full_precision(teacher_logits)
    return divergence(student / temperature, teacher / temperature) * temperature**2


@dataclass(frozen=True)
class LossParts:
    """What a step optimises (`total`) and what it is made of; scalars."""

    total: Tensor
    hard: Tensor
    distill: Tensor | None = None


def baseline_loss(student_logits: Tensor, hard_labels: Tensor, label_smoothing: Number = 0.0) -> LossParts:
    """The loss of a student without a teacher."""
    hard = hard_loss(student_logits, hard_labels, label_smoothing)
    return LossParts(total=hard, hard=hard)


def kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    hard_labels: Tensor,
    temperature: Number,
    distill_weight: Number,
    label_smoothing: Number = 0.0,
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
