"""Which pictures a student sees, and soft labels that lost one ingredient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from kdcore.training.transfer_sets import (
    TransferSet,
    labelled_subset,
    noise_pictures,
    other_subset,
    permute_wrong_classes,
    shuffle_within_classes,
    to_device,
)


def test_labelled_subsets_are_balanced_nested_and_differ_by_seed() -> None:
    labels = torch.arange(400) % 8
    small, large = labelled_subset(labels, 40, seed=3), labelled_subset(labels, 80, seed=3)
    assert labels[small].bincount().tolist() == [5] * 8
    assert set(small.tolist()) < set(large.tolist())
    assert len(set(large.tolist())) == 80
    assert set(small.tolist()) != set(labelled_subset(labels, 40, seed=4).tolist())


def test_what_transfer_sets_share_they_share_on_another_device_too() -> None:
    images, rows = torch.zeros(9, 1, 4, 4, dtype=torch.uint8), torch.arange(5)
    labelled = TransferSet("labelled", images, rows, rows % 3)
    first = labelled.with_teacher_logits(torch.zeros(1, 5, 3))
    other = labelled.with_teacher_logits(torch.zeros(1, 5, 3))
    sets = [labelled, first, first.with_teacher_logits(first.teacher_logits), other]
    moved = to_device(sets, torch.device("meta"))
    for name in ("images", "rows", "hard_labels", "teacher_logits"):
        tensors = [getattr(one, name) for one in moved]
        assert all(tensor is None or tensor.is_meta for tensor in tensors)
        before = [getattr(one, name) for one in sets]
        for i, j in itertools.product(range(4), repeat=2):
            assert (tensors[i] is tensors[j]) == (before[i] is before[j]), (name, i, j)
    assert [one.kind for one in moved] == ["labelled"] * 4


N, K = 60, 7


@pytest.fixture(scope="module")
def logits() -> torch.Tensor:
    """Teacher logits of two views of 60 pictures of 7 classes; no two numbers are equal."""
    return torch.randn(2, N, K, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def hard_labels() -> torch.Tensor:
    labels = torch.randint(K - 1, (N,), generator=torch.Generator().manual_seed(2))
    labels[-1] = K - 1  # alone in its class
    return labels


def test_shuffled_rows_stay_in_their_class_and_nobody_keeps_its_own(
    logits: torch.Tensor, hard_labels: torch.Tensor
) -> None:
    shuffled = shuffle_within_classes(logits, hard_labels, seed=3)
    source = [(logits[0] == row).all(1).nonzero().item() for row in shuffled[0]]  # whose each row was
    assert sorted(source) == list(range(N))
    assert torch.equal(hard_labels[torch.tensor(source)], hard_labels)
    sizes = hard_labels.bincount()
    for place, whose in enumerate(source):
        assert (whose == place) == (sizes[hard_labels[place]] == 1)
    assert torch.equal(shuffled[1], logits[1][torch.tensor(source)])  # the same picture's in every view
    assert torch.equal(shuffled, shuffle_within_classes(logits, hard_labels, seed=3))
    assert not torch.equal(shuffled, shuffle_within_classes(logits, hard_labels, seed=4))


def test_permuted_rows_keep_the_confidence_and_lose_which_wrong_class_is_meant(
    logits: torch.Tensor, hard_labels: torch.Tensor
) -> None:
    permuted = permute_wrong_classes(logits, hard_labels, seed=3)
    rows = torch.arange(N)
    assert torch.equal(permuted[:, rows, hard_labels], logits[:, rows, hard_labels])
    assert torch.equal(permuted.sort(2).values, logits.sort(2).values)
    for temperature in (1.0, 4.0):
        sure = (permuted / temperature).softmax(2)[:, rows, hard_labels]
        torch.testing.assert_close(sure, (logits / temperature).softmax(2)[:, rows, hard_labels])
    places = [
        [tuple((logits[view, row] == value).nonzero().item() for value in permuted[view, row]) for row in range(N)]
        for view in (0, 1)
    ]
    assert places[0] == places[1]  # one permutation for all views of a picture
    assert len(set(places[0])) > N // 2  # and another for the next
    # Each wrong class is as likely as the next: what the dark knowledge says of a class is its mean over all.
    many = torch.arange(float(K)).expand(1, 4000, K)
    mean = permute_wrong_classes(many, torch.zeros(4000, dtype=torch.int64), seed=0).mean(1)[0]
    np.testing.assert_allclose(mean, [0.0, *[3.5] * (K - 1)], atol=5 * 1.71 / 4000**0.5)


@pytest.mark.parametrize("labels", [1, 7, 30])
def test_other_pictures_are_others(hard_labels: torch.Tensor, labels: int) -> None:
    own = labelled_subset(hard_labels, labels, seed=1)
    others = other_subset(own, N, seed=1)
    assert len(own) == len(others) == labels
    assert len({*own.tolist(), *others.tolist()}) == 2 * labels
    assert torch.equal(others, other_subset(own, N, seed=1))
    if N - labels > labels:  # else it is all of the others
        assert not torch.equal(others, other_subset(own, N, seed=2))


def test_other_pictures_come_as_they_are() -> None:
    """The draw ignores classes: from classes of 900 and 100 pictures it does not take equally many."""
    labels = (torch.arange(1000) >= 900).long()
    shares = []
    for seed in range(40):
        own = labelled_subset(labels, 100, seed)
        assert labels[own].bincount().tolist() == [50, 50]
        shares.append(float(labels[other_subset(own, 1000, seed)].double().mean()))
    # 50 of the 900 that are left; of a share of 40 times 100 the standard deviation is 0.0035.
    assert float(np.mean(shares)) == pytest.approx(50 / 900, abs=0.015)


def test_noise_is_noise_and_the_same_for_the_same_seed() -> None:
    pictures = noise_pictures(50, (3, 16, 16), seed=1)
    assert pictures.dtype == torch.uint8 and pictures.shape == (50, 3, 16, 16)
    assert torch.equal(pictures, noise_pictures(50, (3, 16, 16), seed=1))
    assert not torch.equal(pictures, noise_pictures(50, (3, 16, 16), seed=2))
    counts = pictures.flatten().bincount(minlength=256).double()
    expected = pictures.numel() / 256
    assert float(((counts - expected) ** 2 / expected).sum()) < 255 + 5 * (2 * 255) ** 0.5  # chi-squared
