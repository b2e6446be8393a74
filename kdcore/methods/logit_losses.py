"""Distill losses on logits other than Hinton's: pure functions, computed in fp32 or fp64, averaged over the batch.

None includes the hard loss. None reads a Python number from a tensor, so that all work under `torch.func.vmap`, where
temperature and weights may be tensors. Losses that are KL divergences are in nats. A teacher's logit may be -inf, which
rules a class out, and no gradient flows into the teacher's side.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.methods.losses import divergence, full_precision

CONSTANT_TOLERANCE = 1e-6  # values that vary by less than this share of their length count as constant (rounding)


def _centred_unit(values: Tensor, dim: int) -> Tensor:
    """Shift `values` to mean 0 and scale them to length 1 along `dim`.

    Constant values become 0 and are not scaled: so they get the gradient of the centred values, with which a student
    that starts with equal logits can still learn, and nothing is divided by almost 0.
    """
    centred = values - values.mean(dim, keepdim=True)
    length = centred.norm(dim=dim, keepdim=True)
    varies = length > CONSTANT_TOLERANCE * values.norm(dim=dim, keepdim=True)
    return centred / torch.where(varies, length, 1.0)


def standardise(logits: Tensor) -> Tensor:
    """Z-scores over the classes of each picture: mean 0, standard deviation 1 (Sun et al. 2024, "Logit
    Standardization in Knowledge Distillation", section 4 and algorithm 1).

    The standard deviation divides by K, as in the paper. The authors' code divides by K - 1, which equals a temperature
    larger by the factor sqrt(K / (K - 1)). A row of equal logits becomes zeros, which give uniform soft labels. A logit
    of -inf stays -inf, and mean and standard deviation are those of the other classes.

    Args:
        logits: [B, K].

    Returns:
        [B, K].
    """
    logits = full_precision(logits)
    ruled_out = logits.isneginf()
    share = 1 - ruled_out.to(logits.dtype).mean(1, keepdim=True)  # of the classes that are left
    mean = torch.where(ruled_out, 0.0, logits).mean(1, keepdim=True) / share
    # Where the mean takes the place of -inf, it changes neither the mean nor the sum of squared distances from it.
    z_scores = math.sqrt(logits.shape[1]) * _centred_unit(torch.where(ruled_out, mean, logits), 1) * share.sqrt()
    return torch.where(ruled_out, -math.inf, z_scores)


def standardised_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float | Tensor) -> Tensor:
    """The distill loss T² · KL between standardised logits (Sun et al. 2024, section 4 and algorithm 1).

    Only the differences between a picture's classes matter, relative to one another; not how large its logits are.

    Args:
        student_logits, teacher_logits: [B, K].

    Returns:
        A scalar in nats.
    """
    student, teacher = standardise(student_logits), standardise(teacher_logits.detach())
    return divergence(student / temperature, teacher / temperature) * temperature**2


def dkd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    hard_labels: Tensor,
    temperature: float | Tensor,
    target_weight: float | Tensor,
    non_target_weight: float | Tensor,
) -> Tensor:
    """Decoupled knowledge distillation (Zhao et al. 2022, "Decoupled Knowledge Distillation", section 3, equation 7):
    T² · (target weight · KL of target against rest + non-target weight · KL within the rest).

    The target is the hard label, the rest are the other classes. Hinton's KL is the same sum with a target weight of 1
    and, for each picture, the teacher's probability of the rest as the non-target weight; so the surer the teacher, the
    less its dark knowledge counts there.

    The authors increase this loss gradually over the first 20 epochs. Here it counts in full from the first step,
    because runs may be shorter than 20 epochs.

    Args:
        student_logits, teacher_logits: [B, K]; with K = 2 the rest is one class, and its KL is 0.
        hard_labels: int64 [B].

    Returns:
        A scalar in nats.
    """
    student_target, student_rest = _split_target(full_precision(student_logits) / temperature, hard_labels)
    teacher_target, teacher_rest = _split_target(full_precision(teacher_logits).detach() / temperature, hard_labels)
    target = divergence(student_target, teacher_target)
    # Of a rest that the teacher rules out altogether, there is nothing to learn: equal logits have the KL 0.
    ruled_out = teacher_rest.isneginf().all(1, keepdim=True)
    student_rest, teacher_rest = (torch.where(ruled_out, 0.0, rest) for rest in (student_rest, teacher_rest))
    non_target = divergence(student_rest, teacher_rest)
    return (target_weight * target + non_target_weight * non_target) * temperature**2


def _split_target(logits: Tensor, hard_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the target against the rest as one class, [B, 2], and logits within the rest, [B, K - 1].

    The target is removed from the rest. The authors' code subtracts a large number from its logit instead, which fails
    for even larger logits.
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
    """DIST (Huang et al. 2022, "Knowledge Distillation from A Stronger Teacher", sections 3.2 and 3.3, inter-class and
    intra-class relation): T² · (between weight · between + within weight · within).

    With r Pearson's correlation of the student's probabilities with the teacher's, `between` is the mean over pictures
    of 1 - r across a picture's classes, and `within` is the mean over classes of 1 - r across the pictures of the
    batch. The factor T² is from the authors' code. The correlation of constant values is 0, as for every class in a
    batch of 1.

    Args:
        student_logits, teacher_logits: [B, K].

    Returns:
        A scalar, without unit.
    """
    student_probs = F.softmax(full_precision(student_logits) / temperature, dim=1)
    teacher_probs = F.softmax(full_precision(teacher_logits).detach() / temperature, dim=1)
    between = 1 - _correlation(student_probs, teacher_probs, dim=1).mean()
    within = 1 - _correlation(student_probs, teacher_probs, dim=0).mean()
    return (between_weight * between + within_weight * within) * temperature**2


def _correlation(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    return (_centred_unit(student, dim) * _centred_unit(teacher, dim)).sum(dim)
