"""A sample of a split: whole and in order if it is small, else a share of every class."""

from __future__ import annotations

import pytest
import torch

from kdcore.datasets import Split, load_dataset


def numbered(*counts: int) -> Split:
    """Pictures sorted by class, `counts` of each, whose only pixel is their place."""
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    pixels = torch.arange(len(labels), dtype=torch.int32).view(-1, 1, 1, 1)
    return Split(pixels, labels, torch.rand(len(labels), len(counts)))


@pytest.mark.parametrize("most", [30, 31, 400])
def test_a_small_split_is_its_own_sample(most: int) -> None:
    split = numbered(20, 10)
    assert split.sample(most) is split


def test_every_class_keeps_its_share() -> None:
    split = numbered(600, 300, 90, 10)
    sample = split.sample(100)
    assert sample.hard_labels.bincount().tolist() == [60, 30, 9, 1]
    rows = sample.images.flatten()
    assert rows.tolist() == sorted(set(rows.tolist())), "in order, none twice"
    assert torch.equal(split.hard_labels[rows], sample.hard_labels)
    assert split.posterior is not None and sample.posterior is not None
    assert torch.equal(split.posterior[rows], sample.posterior)
    assert rows[:60].max() > 300, "not the first of a class"
    assert torch.equal(rows, split.sample(100).images.flatten())


def test_all_classes_are_there_when_each_has_more_pictures_than_places() -> None:
    assert numbered(*[50] * 64).sample(64).hard_labels.tolist() == list(range(64))


def test_the_validation_pictures_of_digits_are_few_enough_for_curves() -> None:
    validation = load_dataset("digits").validation
    assert validation.sample(400) is validation
