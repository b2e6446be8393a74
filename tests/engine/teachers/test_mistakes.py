"""Mistakes are found as NumPy finds them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from kdcore.datasets import Dataset, load_dataset
from kdcore.errors import ConfigError
from kdcore.teachers.card import ModelCard
from kdcore.teachers.mistakes import ClassConfusion, find_mistakes
from kdcore.teachers.teacher import Teacher, load_single
from tests.engine.teachers.bundled_models import card


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


class Stub:
    """A network that returns the given logits for any pictures."""

    def __init__(self, logits: torch.Tensor, card: ModelCard) -> None:
        self.card, self.fixed_logits = card, logits

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        assert len(images) == len(self.fixed_logits)
        return self.fixed_logits


def test_the_surest_mistakes_come_first_with_what_numpy_says_of_them(digits: Dataset) -> None:
    labels = digits.test.hard_labels
    logits = torch.randn(len(labels), 10, generator=torch.Generator().manual_seed(1)) * 2
    logits[torch.arange(len(labels)), labels] += 3
    stub: Any = Stub(logits, card("digits", dataset_sha256=digits.sha256))
    summary = find_mistakes(stub, digits, limit=5)
    shares = np.exp(logits.double().numpy())
    shares /= shares.sum(1, keepdims=True)
    wrong = np.flatnonzero(shares.argmax(1) != labels.numpy())
    assert (summary.size, summary.wrong) == (len(labels), len(wrong))
    surest = wrong[np.argsort(-shares[wrong].max(1))][:5]
    assert [one.index for one in summary.most_confident] == surest.tolist()
    for one in summary.most_confident:
        assert one.soft_labels == pytest.approx(tuple(shares[one.index]))
        assert one.hard_label == int(labels[one.index])
        assert one.chosen == int(shares[one.index].argmax())
        assert torch.equal(one.picture, digits.test.images[one.index])
        assert one.posterior is None
    pairs: dict[tuple[int, int], int] = {}
    for index in wrong:
        pair = (int(labels[index]), int(shares[index].argmax()))
        pairs[pair] = pairs.get(pair, 0) + 1
    assert {(one.hard_label, one.chosen): one.count for one in summary.confusions} == pairs
    assert [one.count for one in summary.confusions] == sorted(pairs.values(), reverse=True)
    assert isinstance(summary.confusions[0], ClassConfusion)
    assert sum(one.n for one in summary.bins) == len(labels)


def test_creatures_bring_the_true_posterior_and_a_perfect_network_has_no_mistake() -> None:
    creatures = load_dataset("creatures")
    posterior = creatures.test.posterior
    assert posterior is not None
    creatures_card = card(dataset_sha256=creatures.sha256)
    summary = find_mistakes(Stub(posterior.clamp(min=1e-9).log(), creatures_card), creatures)  # type: ignore[arg-type]
    assert 1 - summary.wrong / summary.size == pytest.approx(creatures.bayes_accuracy, abs=1e-9)
    for one in summary.most_confident:
        assert one.posterior == pytest.approx(tuple(posterior[one.index].tolist()))
        assert one.posterior == pytest.approx(one.soft_labels, abs=1e-6)
    certain = torch.nn.functional.one_hot(creatures.test.hard_labels, 8) * 9.0
    perfect = find_mistakes(Stub(certain, creatures_card), creatures)  # type: ignore[arg-type]
    assert (perfect.wrong, perfect.most_confident, perfect.confusions) == (0, (), ())


def test_other_pictures_than_those_of_the_card_are_refused(digits: Dataset) -> None:
    network = load_single("digits")
    other = Teacher(replace(network.card, dataset_sha256="0" * 64), network.network, network.device)
    with pytest.raises(ConfigError, match="learned other pictures than digits"):
        find_mistakes(other, digits)
