"""Which classes a network finds similar: the overlap of its soft labels for two classes, and a tree of all classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.errors import ConfigError
from kdcore.metrics.soft_labels import soften


def class_similarity(logits: Tensor, hard_labels: Tensor, temperature: float = 1.0) -> Tensor:
    """How much a network's soft labels for the pictures of one class overlap with those of another class.

    The soft labels at the temperature are averaged over the pictures of each class. Two averages p and q are compared
    by the sum over classes of sqrt(p · q) (Bhattacharyya's coefficient), which is 1 if they are equal and 0 if they do
    not overlap.

    Args:
        logits: [N, K], with pictures of every class.
        hard_labels: int64 [N].

    Returns:
        float64 [K, K], symmetric.

    Raises:
        ConfigError: a class has no picture, or the temperature is not a finite number above 0.
    """
    classes = logits.shape[-1]
    counts = hard_labels.bincount(minlength=classes)
    if not bool(counts.all()):
        raise ConfigError("Classes can only be compared when every one of them has a picture.")
    soft_labels = soften(logits, temperature)  # [N, K]
    sums = torch.zeros(classes, classes, dtype=soft_labels.dtype).index_add_(0, hard_labels, soft_labels)
    roots = (sums / counts[:, None]).sqrt()
    return (roots @ roots.T).clamp(0.0, 1.0).fill_diagonal_(1.0)


@dataclass(frozen=True)
class Merge:
    """Two branches of a `ClassTree` that join: their numbers, and the distance between them."""

    left: int
    right: int
    distance: float


@dataclass(frozen=True)
class ClassTree:
    """A binary tree of K classes, which joins the most similar branches first.

    Attributes:
        order: every class once, in the order of the leaves in which no branches cross.
        merges: the K - 1 joins; branches 0 to K - 1 are the classes, branch K + i is the result of merge i.
    """

    order: tuple[int, ...]
    merges: tuple[Merge, ...]


def class_tree(similarity: Tensor) -> ClassTree:
    """The average-linkage tree (Sokal and Michener 1958) of the distances sqrt(1 - similarity).

    For similarities from `class_similarity` these are Hellinger distances. The leaves are ordered so that neighbours
    are as similar as the tree allows (Bar-Joseph et al. 2001).

    Args:
        similarity: [K, K].

    Raises:
        ConfigError: there are fewer than two classes.
    """
    # Both load large parts of scipy, which takes 0.2 seconds.
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    if len(similarity) < 2:
        raise ConfigError("A tree needs at least two classes.")
    distances = (1 - similarity.double()).clamp(min=0.0).sqrt().fill_diagonal_(0.0)
    flat = squareform(((distances + distances.T) / 2).numpy(), checks=False)
    tree = optimal_leaf_ordering(linkage(flat, "average"), flat)
    merges = (Merge(int(left), int(right), float(distance)) for left, right, distance, _count in tree.tolist())
    return ClassTree(tuple(int(leaf) for leaf in leaves_list(tree)), tuple(merges))
