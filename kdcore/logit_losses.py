"""Losses on logits beyond Hinton's: pure functions on tensors, at least in fp32, in nats, averaged over the batch.

Each is a distill loss: what a method does with the hard loss beside it is the method's affair. None reads a number
back from a tensor, so that all work under `torch.func.vmap`, where temperature and weights may be tensors.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.losses import divergence, full_precision

CONSTANT = 1e-6  # values that differ less than this share of their size differ by rounding


def _unit(values: Tensor, dim: int) -> Tensor:
    """Centred on 0 and of length 1 along `dim`.

    What is constant stays at 0, and its gradient is that of the centred values: a student that begins with equal
    logits can leave them, and none is thrown by a division by next to nothing.
    """
    centred = values - values.mean(dim, keepdim=True)
    length = centred.norm(dim=dim, keepdim=True)
    varies = length > CONSTANT * values.norm(dim=dim, keepdim=True)
    return centred / torch.where(varies, length, 1.0)


def standardise(logits: Tensor) -> Tensor:
    """Z-scores over the classes of each picture: mean 0, standard deviation 1 (Sun et al. 2024, "Logit
    Standardization in Knowledge Distillation", section 4 and algorithm 1).

    The deviation is the paper's, over K; the authors' code divides by K - 1, which is a temperature that is larger by
    sqrt(K / (K - 1)). A row of equal logits becomes zeros: uniform soft labels.

    Args:
        logits: [B, K]; the answer has the same shape.
    """
    return math.sqrt(logits.shape[1]) * _unit(full_precision(logits), 1)


def standardised_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float | Tensor) -> Tensor:
    """The distill loss, T² · KL, between standardised logits: what counts is how a picture's classes compare, not how
    large its logits are (Sun et al. 2024, section 4 and algorithm 1).

    Args:
        student_logits, teacher_logits: [B, K].
    """
    student, teacher = standardise(student_logits), standardise(teacher_logits)
    return divergence(student / temperature, teacher / temperature) * temperature**2


def dkd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    hard_labels: Tensor,
    temperature: float | Tensor,
    target_weight: float | Tensor,
    non_target_weight: float | Tensor,
) -> Tensor:
    """T² · (target weight · KL of target against rest + non-target weight · KL within the rest): decoupled knowledge
    distillation (Zhao et al. 2022, "Decoupled Knowledge Distillation", section 3, equation 7).

    The target is the hard label. Hinton's KL is the same sum with a target weight of 1 and, for each picture, the
    teacher's mass on the rest as non-target weight: a sure teacher silences its own dark knowledge there.

    The authors' training lets this loss grow over its first 20 epochs. That is left out, because runs here may be
    shorter than that: the loss counts in full from the first step.

    Args:
        student_logits, teacher_logits: [B, K]; with K = 2 there is nothing to compare within the rest, which gives 0.
        hard_labels: int64 [B].
    """
    student_target, student_rest = _decouple(full_precision(student_logits) / temperature, hard_labels)
    teacher_target, teacher_rest = _decouple(full_precision(teacher_logits) / temperature, hard_labels)
    target = divergence(student_target, teacher_target)
    non_target = divergence(student_rest, teacher_rest)
    return (target_weight * target + non_target_weight * non_target) * temperature**2


def _decouple(logits: Tensor, hard_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the target against all the rest [B, 2], and of the rest [B, K - 1].

    The target is left out and not pushed down, so that no logit is too large for it.
    """
    places = torch.arange(logits.shape[1] - 1, device=logits.device)
    rest = logits.gather(1, places + (places >= hard_labels[:, None]))
    target = logits.gather(1, hard_labels[:, None])
    return torch.cat([target, rest.logsumexp(1, keepdim=True)], dim=1), rest


def dist_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float | Tensor,
    between_weight: float | Tensor,
    within_weight: float | Tensor,
) -> Tensor:
    """T² · (between weight · mean over pictures of 1 - r of their class probabilities + within weight · mean over
    classes of 1 - r of their probabilities over the batch), r being Pearson's correlation: DIST (Huang et al. 2022,
    "Knowledge Distillation from A Stronger Teacher", sections 3.2 and 3.3, inter-class and intra-class relation).

    T² is from the authors' code. What is constant correlates with nothing (r = 0), as a class does in a batch of 1.

    Args:
        student_logits, teacher_logits: [B, K].
    """
    student_probs = F.softmax(full_precision(student_logits) / temperature, dim=1)
    teacher_probs = F.softmax(full_precision(teacher_logits) / temperature, dim=1)
    between = 1 - _correlation(student_probs, teacher_probs, dim=1).mean()
    within = 1 - _correlation(student_probs, teacher_probs, dim=0).mean()
    return (between_weight * between + within_weight * within) * temperature**2


def _correlation(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    return (_unit(student, dim) * _unit(teacher, dim)).sum(dim)
