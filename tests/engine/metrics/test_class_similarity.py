"""Class similarity and its tree against NumPy and against average linkage worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcore.errors import ConfigError
from kdcore.metrics.class_similarity import class_similarity, class_tree


def test_similarity_is_the_overlap_of_the_mean_soft_labels() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(30, 4)), np.arange(30) % 4
    scaled = np.exp(logits / 3.0)
    soft = scaled / scaled.sum(1, keepdims=True)
    means = np.stack([soft[labels == k].mean(0) for k in range(4)])
    wanted = [[np.sqrt(p * q).sum() for q in means] for p in means]
    found = class_similarity(torch.tensor(logits), torch.tensor(labels), 3.0)
    assert found.numpy() == pytest.approx(np.array(wanted), abs=1e-12)
    hot = class_similarity(torch.tensor(logits), torch.tensor(labels), 1000.0)
    assert bool((hot >= found - 1e-12).all()) and float(hot.min()) > 0.999  # hot soft labels are all alike


def test_sure_and_right_networks_hold_no_classes_for_alike() -> None:
    logits = 200 * torch.eye(3)
    assert class_similarity(logits, torch.arange(3)).numpy() == pytest.approx(np.eye(3), abs=1e-12)


def test_the_tree_is_average_linkage_worked_by_hand() -> None:
    # Distances: 0-2 is 0.1; then {0, 2} to 3 is (0.3 + 0.5) / 2 = 0.4; then 1 to {0, 2, 3} is (0.8 + 0.6 + 0.7) / 3.
    distances = np.array([[0, 0.8, 0.1, 0.3], [0.8, 0, 0.6, 0.7], [0.1, 0.6, 0, 0.5], [0.3, 0.7, 0.5, 0]])
    tree = class_tree(torch.tensor(1 - distances**2))
    assert [merge.distance for merge in tree.merges] == pytest.approx([0.1, 0.4, 0.7])
    assert [{merge.left, merge.right} for merge in tree.merges] == [{0, 2}, {3, 4}, {1, 5}]
    assert sorted(tree.order) == [0, 1, 2, 3]
    place = {leaf: number for number, leaf in enumerate(tree.order)}
    assert abs(place[0] - place[2]) == 1 and place[1] in (0, 3)  # branches do not cross
    assert tree.order in (
        (3, 0, 2, 1),
        (1, 2, 0, 3),
    )  # neighbours are similar: 3 is nearer to 0, and 1 to 2


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(ConfigError, match="every one of them has a picture"):
        class_similarity(torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ConfigError, match="at least two"):
        class_tree(torch.ones(1, 1))
