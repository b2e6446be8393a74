"""Which classes a network holds for alike: how much its soft labels of two classes overlap, and the tree of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.errors import ConfigError
from kdcore.soft_labels import soften


def class_similarity(logits: Tensor, hard_labels: Tensor, temperature: float = 1.0) -> Tensor:
    """How much what a network says of one class overlaps with what it says of another, [K, K], float64.

    The soft labels at the temperature are averaged over each class's pictures; two averages p and q are compared by
    the sum over classes of sqrt(p · q) (Bhattacharyya's coefficient): 1 for the same answers, 0 for answers that share
    nothing.

    Args:
        logits: [N, K], of pictures of every class.
        hard_labels: int64 [N].

    Raises:
        ConfigError: a class without a picture, or a temperature that is not above 0.
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
    """Two branches that join: their numbers, and the distance at which they do."""

    left: int
    right: int
    distance: float


@dataclass(frozen=True)
class ClassTree:
    """Classes joined two by two, the most alike first.

    Attributes:
        order: every class once, in the order of the leaves, so that no branches cross.
        merges: K - 1 of them; branches 0 to K - 1 are the classes, branch K + i is what merge i joined.
    """

    order: tuple[int, ...]
    merges: tuple[Merge, ...]


def class_tree(similarity: Tensor) -> ClassTree:
    """The average-linkage tree of a similarity [K, K] (Sokal and Michener 1958), of the distances sqrt(1 - similarity):
    Hellinger's, when it is `class_similarity`.

    Leaves lie so that neighbours are as alike as the tree allows (Bar-Joseph et al. 2001).

    Raises:
        ConfigError: fewer than two classes.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    if len(similarity) < 2:
        raise ConfigError("A tree needs at least two classes.")
    distances = (1 - similarity.double()).clamp(min=0.0).sqrt().fill_diagonal_(0.0)
    flat = squareform(((distances + distances.T) / 2).numpy(), checks=False)
    tree = optimal_leaf_ordering(linkage(flat, "average"), flat)
    merges = (Merge(int(left), int(right), float(distance)) for left, right, distance, _count in tree.tolist())
    return ClassTree(tuple(int(leaf) for leaf in leaves_list(tree)), tuple(merges))
