"""Losses on features: pure functions on tensors, computed in fp32 or fp64 and averaged over the batch.

Features are maps [B, C, h, w] or vectors [B, C] from an inner layer of a network. No gradient flows into the teacher's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.errors import ConfigError
from kdcore.methods.losses import full_precision

MAX_GROUP = 128  # most pictures compared with one another, as in the paper; the number of triplets grows with its cube
COINCIDENT = 1e-12  # squared distance / sum of squared lengths at which fp64 cannot tell two points apart


def build_regressor(student_shape: tuple[int, ...], teacher_shape: tuple[int, ...]) -> nn.Module:
    """A layer that maps the student's features to the shape of the teacher's. It is trained with the student and
    discarded afterwards (Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", section 2.2).

    For maps it is a 1x1 convolution; a map larger than the teacher's is averaged to the teacher's size first. For
    vectors it is a linear layer.

    Args:
        student_shape, teacher_shape: shapes of the features without the batch, (C, h, w) or (C,).

    Raises:
        ConfigError: one is a map and the other a vector.
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
    """Check that `build_regressor` can map one shape to the other.

    Raises:
        ConfigError: as `build_regressor`.
    """
    if len(student_shape) != len(teacher_shape):
        raise ConfigError(
            f"Features of shape {student_shape} cannot be compared with {teacher_shape}; choose two layers that both "
            "give a map (C, h, w) or both a vector (C,), or another student."
        )


def check_maps(student_shape: tuple[int, ...], teacher_shape: tuple[int, ...]) -> None:
    """Check that both layers give maps (C, h, w), as `attention_map` needs them.

    Raises:
        ConfigError: a layer gives a vector.
    """
    if len(student_shape) != 3 or len(teacher_shape) != 3:
        raise ConfigError("Attention is compared between maps; choose a layer that gives one in both networks.")


def hint_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared error between the teacher's features and the regressor's output for the student (Romero et al. 2015,
    section 2.2, equation 3).

    The paper uses half the sum of squares. The mean does not grow with the size of the layer, so that one weight suits
    all sizes.

    Args:
        student_features: output of the regressor, [B, C, h, w] or [B, C].
        teacher_features: the same shape, or a larger map, which is averaged to the student's size.

    Returns:
        A scalar.
    """
    student, teacher = full_precision(student_features), full_precision(teacher_features).detach()
    if teacher.shape[2:] != student.shape[2:]:
        height, width = student.shape[2:]
        teacher = F.adaptive_avg_pool2d(teacher, (height, width))
    return F.mse_loss(student, teacher)


def attention_map(features: Tensor, size: tuple[int, int]) -> Tensor:
    """The attention map of a layer, which shows where it is active (Zagoruyko and Komodakis 2017, "Paying More
    Attention to Attention", section 3.1, sum of squares).

    It is the mean over channels of the squared features, averaged to `size` places and scaled to length 1. A map that
    is 0 everywhere stays 0.

    Args:
        features: [B, C, h, w].
        size: (h', w').

    Returns:
        [B, h' · w'].
    """
    places = F.adaptive_avg_pool2d(full_precision(features).square().mean(1, keepdim=True), size)
    return F.normalize(places.flatten(1), dim=1)


def attention_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Mean over pictures and places of the squared differences between attention maps (Zagoruyko and Komodakis 2017,
    section 3.1).

    This is what the authors' code computes and what their weight of 1000 belongs to. Equation 2 of the paper has the
    Euclidean norm of the difference instead; its square is this loss times the number of places.

    Args:
        student_map, teacher_map: [B, places], from `attention_map`.

    Returns:
        A scalar.
    """
    return F.mse_loss(student_map, teacher_map.detach())


def relational_loss(
    student_embedding: Tensor,
    teacher_embedding: Tensor,
    distance_weight: float | Tensor,
    angle_weight: float | Tensor,
) -> Tensor:
    """Relational knowledge distillation (Park et al. 2019, "Relational Knowledge Distillation", sections 3.2.1 and
    3.2.2): compares the distances and angles between pictures in the student's and the teacher's embedding.

    The loss is distance weight · Huber loss between the distances of pairs + angle weight · Huber loss between the
    cosines of the angles of triplets. Each network's distances are divided by their mean first. As in the authors'
    code, the losses are means over all B² pairs and B³ triplets, and the mean distance is over pairs of distinct
    points. Two pictures at the same point have distance 0, and the cosine of an angle with them counts as 0. A batch of
    more than 128 pictures is split into groups of about equal size, each treated as a batch.

    Args:
        student_embedding: [B, D].
        teacher_embedding: [B, D'].

    Returns:
        A scalar.
    """
    groups = -(-len(student_embedding) // MAX_GROUP)
    pairs = zip(student_embedding.tensor_split(groups), teacher_embedding.detach().tensor_split(groups), strict=True)
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
    """Distances relative to their mean, [B, B], and cosines of the angle at point j between i and k, [B, B, B] as
    [j, i, k], of an embedding [B, D].

    Both are computed from inner products, because multiplying direction vectors would take D times the work. They are
    in fp64, because differences of products cancel for near points, and because autocast does not touch fp64.
    """
    points = embedding.flatten(1).double()
    points = points - points.mean(0)  # for points far from 0 the differences of products would cancel
    products = points @ points.T
    lengths = products.diagonal()
    squared = lengths[:, None] + lengths - 2 * products
    apart = squared > COINCIDENT * (lengths[:, None] + lengths)
    distances = torch.where(apart, squared, 1.0).sqrt() * apart  # the root has no finite gradient at 0
    mean = distances.sum() / apart.sum().clamp(min=1)
    # corners[j, i, k] = (x_i - x_j) · (x_k - x_j), written with inner products
    corners = products + lengths[:, None, None] - products[:, :, None] - products[:, None, :]
    inverse = apart / torch.where(apart, distances, 1.0)
    cosines = corners * inverse[:, :, None] * inverse[:, None, :]
    return distances / torch.where(mean > 0, mean, 1.0), cosines
