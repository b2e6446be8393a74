"""Outsiders: the pictures that a teacher is shown in training, the loss and the threshold, checked with NumPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special

from kdcore.datasets import Split, load_dataset
from kdcore.machine.device import pick_device
from kdcore.metrics.soft_labels import familiarity, soften
from kdcore.networks.inference import predict_logits
from kdcore.pictures.views import RandomViews
from kdcore.teachers.building.figures import fit_threshold, measure_outsiders
from kdcore.teachers.building.outsiders import (
    OutsiderRecipe,
    Outsiders,
    load_outsiders,
    outsider_loss,
    pictures_of_classes,
    shuffle_blocks,
)
from kdcore.teachers.building.training import TeacherRecipe, train_teacher
from kdcore.teachers.load import load_teacher

RECIPE = OutsiderRecipe("cifar10", ("automobile", "truck"), ("bird", "cat", "dog"))


def random_logits(count: int, classes: int) -> torch.Tensor:
    return 3 * torch.randn(count, classes, generator=torch.Generator().manual_seed(0))


def test_familiarity_is_the_unused_direction_of_the_softmax() -> None:
    logits = random_logits(20, 7)
    assert np.allclose(familiarity(logits), special.logsumexp(logits.double().numpy(), axis=1))
    raised = logits + 5
    torch.testing.assert_close(soften(raised), soften(logits), atol=1e-6, rtol=0)
    torch.testing.assert_close(familiarity(raised), familiarity(logits) + 5)


def test_the_loss_is_the_logistic_loss_on_familiarity() -> None:
    logits, inside = random_logits(12, 7), torch.arange(12) % 3 > 0
    score = special.logsumexp(logits.double().numpy(), axis=1) - np.log(7)
    by_hand = np.where(inside.numpy(), np.log1p(np.exp(-score)), np.log1p(np.exp(score))).mean()
    assert float(outsider_loss(logits, inside)) == pytest.approx(by_hand, rel=1e-6)
    assert float(outsider_loss(torch.zeros(4, 7), inside[:4])) == pytest.approx(np.log(2))  # equal logits mean 50 %


def test_shuffled_blocks_are_the_same_blocks_elsewhere() -> None:
    images = torch.randint(256, (6, 3, 18, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mixed = shuffle_blocks(images, torch.Generator().manual_seed(1))
    assert mixed.shape == images.shape
    assert mixed.dtype == torch.uint8

    def blocks(picture: np.ndarray) -> list[bytes]:
        return [picture[:, y : y + 4, x : x + 4].tobytes() for y in range(0, 16, 4) for x in range(0, 16, 4)]

    for before, after in zip(images.numpy(), mixed.numpy(), strict=True):
        assert sorted(blocks(before)) == sorted(blocks(after))
        assert blocks(before) != blocks(after)


def test_a_batch_gets_company_of_three_kinds() -> None:
    pools = [torch.full((50, 3, 8, 8), value, dtype=torch.uint8) for value in (10, 20)]
    outsiders = Outsiders(RECIPE, *pools)
    batch = torch.full((40, 3, 8, 8), 30, dtype=torch.uint8)
    pictures, inside = outsiders.draw(batch, torch.Generator().manual_seed(0))
    assert pictures[:, 0, 0, 0].tolist() == [20, 20, 10, 10, 30, 30]  # a twentieth of the batch each
    assert inside.tolist() == [True, True, False, False, False, False]


def test_training_never_shows_what_the_test_asks() -> None:
    found = load_outsiders(RECIPE, (3, 32, 32))
    cifar = load_dataset("cifar10")
    names = np.array(cifar.class_names)[cifar.train.hard_labels.numpy()]
    assert len(found.outside) == int(np.isin(names, RECIPE.outside).sum())
    assert len(found.inside) == int(np.isin(names, RECIPE.inside).sum())
    ships = pictures_of_classes(cifar.test, cifar.class_names, ("ship",))
    assert torch.equal(ships, cifar.test.images[cifar.test.hard_labels == cifar.class_names.index("ship")])


def test_the_threshold_gives_up_a_twentieth_of_validation() -> None:
    logits = random_logits(2_000, 7)
    scores = special.logsumexp(logits.double().numpy(), axis=1)
    assert (scores < fit_threshold(logits)).mean() == pytest.approx(0.05, abs=0.001)


def test_measured_on_kinds_that_training_never_showed() -> None:
    teacher = load_teacher("creatures")
    dataset = load_dataset("creatures")
    everything = measure_outsiders(teacher, dataset, float("inf"), RECIPE)
    assert set(everything["found"]) == {"cifar10: airplane, ship", "digits"}
    assert set(everything["false_alarms_elsewhere"]) == {"cifar10: deer, frog, horse"}
    assert everything["false_alarms"]["mean"] == 1.0
    nothing = measure_outsiders(teacher, dataset, float("-inf"), RECIPE)
    assert nothing["false_alarms"]["mean"] == nothing["found"]["digits"]["mean"] == 0.0
    assert nothing["found"]["cifar10: airplane, ship"]["n"] == 2_000


def test_a_teacher_that_meets_outsiders_knows_them_and_one_that_does_not_is_left_as_it_was(tmp_path: Path) -> None:
    creatures = load_dataset("creatures")
    train = Split(creatures.train.images[:1_500], creatures.train.hard_labels[:1_500])
    dataset = replace(creatures, train=train)
    cifar = load_dataset("cifar10")
    planes = pictures_of_classes(cifar.test, cifar.class_names, ("airplane",))
    plain = TeacherRecipe("t", "creatures", "convnet-4", 2, 50, 0.1, 5e-4, RandomViews(flip=True))

    def trained(recipe: TeacherRecipe, checkpoint: str) -> torch.nn.Module:
        *_epochs, network = train_teacher(recipe, dataset, pick_device("cpu"), tmp_path / checkpoint)
        assert isinstance(network, torch.nn.Module)
        return network

    def separation(network: torch.nn.Module) -> float:
        """The probability that a creature is more familiar than an airplane (area under the ROC curve)."""
        creature, plane = (
            familiarity(predict_logits(network, images, pick_device("cpu")))
            for images in (creatures.test.images[:400], planes[:400])
        )
        return float((creature[:, None] > plane).double().mean())

    without = trained(plain, "without")
    with_outsiders = trained(replace(plain, outsiders=replace(RECIPE, share=0.1, weight=0.5)), "with_outsiders")
    assert separation(with_outsiders) > max(0.85, separation(without) + 0.2)
    only_measured = trained(replace(plain, outsiders=replace(RECIPE, share=0)), "measured")
    assert all(
        torch.equal(a, b)
        for a, b in zip(without.state_dict().values(), only_measured.state_dict().values(), strict=True)
    )
