"""Losses of students: pure functions on tensors, in fp32 or fp64, in nats, averaged over the batch.

A teacher's logit of -inf means that it rules this class out: the class has the probability 0 and adds nothing to a
loss. No gradient flows into the teacher's side of any loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Number = float | Tensor  # a setting; a scalar tensor where several students learn in one computation


def full_precision(values: Tensor) -> Tensor:
    """Convert to fp32, unless the values are fp64 already."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def divergence(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(softmax of the teacher ‖ softmax of the student), in nats, mean over the batch.

    It does not use `F.kl_div`, which has no batching rule for `torch.func.vmap`.

    Args:
        student_logits: [B, K].
        teacher_logits: [B, K]; -inf for a class that the teacher rules out.

    Returns:
        A scalar.
    """
    student_log_probs = F.log_softmax(full_precision(student_logits), dim=1)
    teacher_log_probs = F.log_softmax(full_precision(teacher_logits).detach(), dim=1)
    gaps = teacher_log_probs - student_log_probs
    # The limit of p log p at 0 is 0, but 0 times the -inf of a class that is ruled out is not a number.
    gaps = torch.where(teacher_log_probs.isneginf(), 0.0, gaps)
    return (teacher_log_probs.exp() * gaps).sum(1).mean()


def hard_loss(student_logits: Tensor, hard_labels: Tensor, label_smoothing: Number = 0.0) -> Tensor:
    """Cross-entropy with the hard labels, mean over the batch.

    With label smoothing s, the target distribution is (1 - s) on the hard label plus s / K on every class (Szegedy et
    al. 2016, section 7).

    Args:
        student_logits: [B, K].
        hard_labels: int64 [B].
        label_smoothing: s, 0 to 1.

    Returns:
        A scalar in nats.
    """
    log_probs = F.log_softmax(full_precision(student_logits), dim=1)
    on_label = log_probs.gather(1, hard_labels[:, None]).mean()
    return -((1 - label_smoothing) * on_label + label_smoothing * log_probs.mean())


def distill_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: Number) -> Tensor:
    """T² · KL(teacher ‖ student) at temperature T, batch mean (Hinton, Vinyals, Dean 2015, section 2).

    The gradient of the KL shrinks like 1 / T². The factor T² compensates for this, so that the temperature does not
    change the balance with the hard loss. Both networks' answers stay log-probabilities, because the logarithm of a
    probability that underflowed to 0 would be infinite.

    Args:
        student_logits, teacher_logits: [B, K].

    Returns:
        A scalar in nats.
    """
    student, teacher = full_precision(student_logits), full_precision(teacher_logits)
    return divergence(student / temperature, teacher / temperature) * temperature**2


@dataclass(frozen=True)
class LossParts:
    """The loss of a training step (`total`) and its parts, all scalars; `distill` is None without a teacher."""

    total: Tensor
    hard: Tensor
    distill: Tensor | None = None


def baseline_loss(student_logits: Tensor, hard_labels: Tensor, label_smoothing: Number = 0.0) -> LossParts:
    """The loss of a student trained without a teacher: the hard loss alone. Arguments as for `hard_loss`."""
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
    """Hinton's knowledge distillation: (1 - w) · hard loss + w · distill loss (Hinton, Vinyals, Dean 2015, section 2).

    Args:
        student_logits, teacher_logits: [B, K].
        hard_labels: int64 [B].
        distill_weight: w, 0 to 1.
    """
    hard = hard_loss(student_logits, hard_labels, label_smoothing)
    distill = distill_loss(student_logits, teacher_logits, temperature)
    total = (1 - distill_weight) * hard + distill_weight * distill
    return LossParts(total=total, hard=hard, distill=distill)
