"""Losses on features: pure functions on tensors, at least in fp32, averaged over the batch.

Features are maps [B, C, h, w] or vectors [B, C]; `features` takes them from a network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.errors import ConfigError
from kdcore.losses import full_precision

GROUP = 128  # pictures whose relations are compared at most, as in the paper: triplets grow with the cube
SAME_PLACE = 1e-12  # squared distance, as a share of the squared lengths, at which fp64 cannot tell two points apart


def build_regressor(student_shape: tuple[int, ...], teacher_shape: tuple[int, ...]) -> nn.Module:
    """A layer that brings the student's features to the shape of the teacher's; it learns with the student and is
    thrown away after (Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", section 2.2).

    Maps go through a 1x1 convolution, averaged first to the teacher's places where they have more; vectors go through
    a linear layer.

    Args:
        student_shape, teacher_shape: without the batch, (C, h, w) or (C,).

    Raises:
        ConfigError: not both maps or both vectors.
    """
    check_shapes(student_shape, teacher_shape)
    if len(student_shape) == 1:
        return nn.Linear(student_shape[0], teacher_shape[0])
    convolution = nn.Conv2d(student_shape[0], teacher_shape[0], kernel_size=1)
    places = tuple(min(sides) for sides in zip(student_shape[1:], teacher_shape[1:], strict=True))
    if places == student_shape[1:]:
        return convolution
    return nn.Sequential(nn.AdaptiveAvgPool2d(places), convolution)


def check_shapes(student_shape: tuple[int, ...], teacher_shape: tuple[int, ...]) -> None:
    """Refuse features that no regressor can bring together.

    Raises:
        ConfigError: as `build_regressor`.
    """
    if len(student_shape) != len(teacher_shape):
        raise ConfigError(
            f"Features of shape {student_shape} cannot be compared with {teacher_shape}; choose two layers that both "
            "give a map (C, h, w) or both a vector (C,), or another student."
        )


def hint_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared error between the teacher's hint and what the student makes of it (Romero et al. 2015, section 2.2,
    equation 3).

    The paper has half the sum of squares; the mean does not grow with the layer, so one weight suits all sizes.

    Args:
        student_features: after the regressor, [B, C, h, w] or [B, C].
        teacher_features: the same, or a map with more places, which are averaged to the student's.
    """
    student, teacher = full_precision(student_features), full_precision(teacher_features)
    if teacher.shape[2:] != student.shape[2:]:
        height, width = student.shape[2:]
        teacher = F.adaptive_avg_pool2d(teacher, (height, width))
    return F.mse_loss(student, teacher)


def attention_map(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Where a layer is active: the mean over channels of squares, averaged to `size` places, of length 1 (Zagoruyko
    and Komodakis 2017, "Paying More Attention to Attention", section 3.1, sum of squares).

    A map that is 0 everywhere stays 0.

    Args:
        features: [B, C, h, w].
        size: (h', w'); the answer is [B, h' · w'].
    """
    places = F.adaptive_avg_pool2d(full_precision(features).square().mean(1, keepdim=True), size)
    return F.normalize(places.flatten(1), dim=1)


def attention_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Mean over pictures and places of the squared differences between attention maps (Zagoruyko and Komodakis 2017,
    section 3.1).

    This is what the authors' code computes, and what their weight of 1000 is for. Equation 2 of the paper has the
    Euclidean norm of the difference instead; its square is this loss times the number of places.

    Args:
        student_map, teacher_map: [B, places], from `attention_map`.
    """
    return F.mse_loss(student_map, teacher_map)


def relational_loss(
    student_embedding: Tensor,
    teacher_embedding: Tensor,
    distance_weight: float | Tensor,
    angle_weight: float | Tensor,
) -> Tensor:
    """How pictures lie to each other: distance weight · Huber loss of the distances of pairs, each side divided by its
    mean, + angle weight · Huber loss of the cosines of the angles of triplets (Park et al. 2019, "Relational Knowledge
    Distillation", sections 3.2.1 and 3.2.2).

    As in the authors' code, the loss is the mean over all B² pairs and B³ triplets, and the mean distance is over
    pairs that lie apart. Two pictures in one place have distance 0, and no angle: its cosine counts as 0. A batch of
    more than 128 pictures is taken in groups of equal size, as if each were a batch.

    Args:
        student_embedding: [B, D].
        teacher_embedding: [B, D'].
    """
    groups = -(-len(student_embedding) // GROUP)
    pairs = zip(student_embedding.tensor_split(groups), teacher_embedding.tensor_split(groups), strict=True)
    losses = [_relational_loss(student, teacher, distance_weight, angle_weight) for student, teacher in pairs]
    return torch.stack(losses).mean().to(full_precision(student_embedding).dtype)


def _relational_loss(
    student: Tensor, teacher: Tensor, distance_weight: float | Tensor, angle_weight: float | Tensor
) -> Tensor:
    student_distances, student_cosines = _relations(student)
    teacher_distances, teacher_cosines = _relations(teacher)
    distance = F.smooth_l1_loss(student_distances, teacher_distances)
    angle = F.smooth_l1_loss(student_cosines, teacher_cosines)
    return distance_weight * distance + angle_weight * angle


def _relations(embedding: Tensor) -> tuple[Tensor, Tensor]:
    """Distances relative to their mean [B, B]; cosines [B, B, B] of the angle at j between i and k, as [j, i, k].

    From inner products: as a product of directions the angles would take D times the work. In fp64, because products
    of near points cancel, and because autocast leaves it alone.
    """
    points = embedding.flatten(1).double()
    points = points - points.mean(0)  # products of far points would cancel
    products = points @ points.T
    lengths = products.diagonal()
    squared = lengths[:, None] + lengths - 2 * products
    apart = squared > SAME_PLACE * (lengths[:, None] + lengths)
    distances = torch.where(apart, squared, 1.0).sqrt() * apart  # a root of 0 has no gradient
    mean = distances.sum() / apart.sum().clamp(min=1)
    # (x_i - x_j) · (x_k - x_j)
    corners = products + lengths[:, None, None] - products[:, :, None] - products[:, None, :]
    inverse = apart / torch.where(apart, distances, 1.0)
    cosines = corners * inverse[:, :, None] * inverse[:, None, :]
    return distances / torch.where(mean > 0, mean, 1.0), cosines
