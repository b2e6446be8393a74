"""The answers of three networks to the test pictures: the groups of pictures and their order, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kdcore.datasets import Dataset, load_dataset
from kdcore.errors import ConfigError
from kdcore.teachers.answers import PICTURE_GROUPS, answer_test_split, pictures_of_group
from kdcore.teachers.teacher import Teacher, load_single


class Fixed:
    """A network that returns the given logits for any pictures."""

    def __init__(self, like: Teacher, logits: torch.Tensor, **card: object) -> None:
        self.card, self.fixed_logits, self.name = replace(like.card, **card), logits, "fixed"  # type: ignore[arg-type]

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        assert len(images) == len(self.fixed_logits)
        return self.fixed_logits


@pytest.fixture(scope="module")
def digits() -> Teacher:
    return load_single("digits")


@pytest.fixture(scope="module")
def six() -> Dataset:
    """The digits with a test split of six pictures, whose labels are 0 to 5."""
    digits = load_dataset("digits")
    split = digits.test.select(torch.arange(6))
    return replace(digits, test=replace(split, hard_labels=torch.arange(6)))


def sure(choices: list[int], shares: list[float]) -> torch.Tensor:
    """Logits [N, 10] that give the choice this share, and the rest evenly to the others."""
    rest = torch.tensor([(1 - share) / 9 for share in shares])
    table = rest[:, None].repeat(1, 10)
    table[torch.arange(len(choices)), torch.tensor(choices)] = torch.tensor(shares)
    return table.log()


def test_groups_and_their_order_by_hand(digits: Teacher, six: Dataset) -> None:
    teacher = sure([0, 1, 2, 3, 4, 9], [0.9] * 6)
    distilled = sure([0, 1, 7, 3, 8, 5], [0.6, 0.9, 0.9, 0.9, 0.5, 0.6])
    baseline = sure([9, 9, 2, 3, 8, 8], [0.6, 0.6, 0.7, 0.9, 0.5, 0.9])
    networks = {
        arm: Fixed(digits, logits)
        for arm, logits in (("teacher", teacher), ("distilled", distilled), ("baseline", baseline))
    }
    found = answer_test_split(networks, six)  # type: ignore[arg-type]
    # Only distilled right: 0 (0.60 - 0.044), 1 (0.90 - 0.044), 5 (0.60 - 0.011).
    assert pictures_of_group(found, "distilled").tolist() == [1, 5, 0]
    assert pictures_of_group(found, "baseline").tolist() == [2]
    # Neither answers as the teacher: 4, where the gap is larger, and 5, where distilled is right.
    assert pictures_of_group(found, "dissent").tolist() == [4, 5]
    assert sorted(found.pictures) == [0, 1, 2, 4, 5]
    assert torch.equal(found.pictures[4], six.test.images[4])
    assert found.one_hot_choices("baseline").argmax(-1).tolist() == [9, 9, 2, 3, 8, 8]
    assert found.dataset_sha256 == six.sha256


def test_what_is_kept_agrees_with_the_network(digits: Teacher) -> None:
    dataset = load_dataset("digits")
    found = answer_test_split(dict.fromkeys(("teacher", "distilled", "baseline"), digits), dataset)
    exact = digits.logits(dataset.test.images)
    right = found.one_hot_choices("teacher").argmax(-1) == dataset.test.hard_labels
    assert float(right.double().mean()) == pytest.approx(digits.card.accuracy)
    assert torch.allclose(found.logits["teacher"].float(), exact, atol=0.05)
    assert [len(pictures_of_group(found, group)) for group in PICTURE_GROUPS] == [0, 0, 0], (
        "a network differs from itself"
    )
    assert not found.pictures


def test_a_network_of_other_classes_is_one_sentence(digits: Teacher, six: Dataset) -> None:
    other = Fixed(digits, torch.zeros(6, 2), class_names=("a", "b"))
    with pytest.raises(ConfigError, match='knows other classes than the dataset "digits"'):
        answer_test_split({"teacher": other}, six)  # type: ignore[dict-item]
