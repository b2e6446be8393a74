"""A teacher by kind: its logits are the log-sum-exp of its classes', and it teaches a dataset of kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kdcore.datasets import Dataset, Split, load_dataset
from kdcore.errors import ConfigError
from kdcore.pictures.views import to_float
from kdcore.teachers.by_kind import by_kind, knows_kinds
from kdcore.teachers.fit import fit_to
from kdcore.teachers.load import load_teacher
from kdcore.teachers.teacher import Teacher

KINDS = ("wolf", "cat", "dog")


@pytest.fixture(scope="module")
def animals() -> Teacher:
    return load_teacher("animals")


def pictures(side: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, side, side), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_its_logits_are_those_of_its_classes_summed_by_kind(animals: Teacher) -> None:
    images = pictures(64)
    logits = animals.logits(images).double().numpy()
    member = np.array(animals.card.superclasses)
    wanted = np.stack([np.log(np.exp(logits[:, member == kind]).sum(1)) for kind in KINDS], 1)
    found = by_kind(animals, KINDS, (3, 64, 64))
    np.testing.assert_allclose(found.logits(images).numpy(), wanted, atol=1e-4)
    assert found.card.class_names == KINDS and found.card.figures == {} and found.card.accuracy is None


def test_it_resizes_pictures_to_the_size_of_the_teacher(animals: Teacher) -> None:
    images = pictures(32)
    found = by_kind(animals, KINDS, (3, 32, 32)).logits(images)
    enlarged = F.interpolate(to_float(images), size=(64, 64), mode="bilinear", align_corners=False)
    logits = animals.network(enlarged).double().numpy() * animals.card.calibration
    member = np.array(animals.card.superclasses)
    wanted = np.stack([np.log(np.exp(logits[:, member == kind]).sum(1)) for kind in KINDS], 1)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-3)


def test_its_logits_are_kept_under_a_key_of_their_own(animals: Teacher) -> None:
    keys = [animals.logits_key(), by_kind(animals, KINDS, (3, 64, 64)).logits_key()]
    keys += [by_kind(animals, KINDS[:2], (3, 64, 64)).logits_key(), by_kind(animals, KINDS, (3, 32, 32)).logits_key()]
    assert all(one != other for index, one in enumerate(keys) for other in keys[:index])


def test_it_fits_a_dataset_whose_classes_are_kinds_that_it_knows(animals: Teacher) -> None:
    split = Split(pictures(64), torch.tensor([0, 1, 2]))
    fitting = fit_to(Dataset("made", KINDS, KINDS, split, split, split, ""), animals, "choose another")
    assert fitting.card.class_names == KINDS
    other = ("wolf", "cat", "unicorn")
    assert not knows_kinds(animals.card, other)
    with pytest.raises(ConfigError, match="other classes"):
        fit_to(Dataset("made", other, other, split, split, split, ""), animals, "choose another")


def test_photos_teaches_the_kinds_of_animals(data_dir: Path) -> None:
    dataset = load_dataset("animal-kinds")
    teacher = fit_to(dataset, load_teacher("photos"), "choose another")
    rows = torch.arange(0, len(dataset.test), 8)
    right = teacher.logits(dataset.test.images[rows]).argmax(1) == dataset.test.hard_labels[rows]
    assert teacher.card.class_names == dataset.class_names and right.double().mean() > 0.6
