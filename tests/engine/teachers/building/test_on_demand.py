"""A teacher that is not on this machine is trained once, before the run, and then loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdcore.datasets import add_dataset
from kdcore.events import RunFailed, RunFinished, TeacherEpochEnded
from kdcore.settings.config import make_run_config
from kdcore.teachers.building import recipes
from kdcore.teachers.building.catalog import dataset_of
from kdcore.teachers.building.on_demand import estimate_teacher_seconds, train_missing_teacher
from kdcore.teachers.building.recipes import ON_DEMAND, TEACHER_RECIPES, teacher_recipe
from kdcore.teachers.card import list_teachers
from kdcore.training.trainer import train


@pytest.fixture
def colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A dataset of the user with two classes, whose teacher is trained in seconds; returns its name."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    for name, colour in (("red", (180, 40, 40)), ("blue", (40, 40, 180))):
        (tmp_path / "c" / name).mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(np.array(colour) + rng.integers(-40, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "c" / name / f"{number}.png")
    add_dataset(tmp_path / "c", "colours", size=32)
    small = replace(recipes._CIFAR100, model="convnet-4", batch_size=16)
    monkeypatch.setattr(recipes, "_CIFAR100", small)
    monkeypatch.setattr(recipes, "is_available", lambda name: False)  # so that a network is trained from scratch
    return "colours"


def test_a_run_trains_the_teacher_that_it_lacks_once(colours: str, tmp_path: Path) -> None:
    config = make_run_config(colours, labels=20, epochs=2, seeds=2, student="convnet-4", device="cpu")
    events = list(train(config, run_dir=tmp_path / "run"))
    epochs = [event.epoch for event in events if isinstance(event, TeacherEpochEnded)]
    assert epochs == list(range(epochs[-1] + 1))
    assert isinstance(events[-1], RunFinished)
    assert events[-1].result["teacher_seconds"] > 0
    (card,) = (card for card in list_teachers() if card.name == colours)
    assert card.dataset == colours
    assert card.accuracy > 0.9
    again = list(train(config, run_dir=tmp_path / "again"))
    assert not any(isinstance(event, TeacherEpochEnded) for event in again)
    assert again[-1].result["teacher_seconds"] == 0
    accuracy = [events[-1].result["arms"]["distilled"]["accuracy"] for events in (events, again)]
    assert accuracy[0] == accuracy[1]


def test_its_training_stops_when_asked_and_goes_on_where_it_was(colours: str) -> None:
    batches = iter(range(10_000))
    first = list(train_missing_teacher(colours, "cpu", lambda: next(batches) >= 9))
    done = first[-1].epoch
    assert 0 < done < first[-1].epochs
    assert colours not in {card.name for card in list_teachers()}
    rest = list(train_missing_teacher(colours, "cpu"))
    assert [event.epoch for event in rest] == [0, *range(done + 1, rest[-1].epochs + 1)]
    assert colours in {card.name for card in list_teachers()}


def test_a_run_that_is_stopped_meanwhile_ends_as_stopped(colours: str, tmp_path: Path) -> None:
    config = make_run_config(colours, labels=20, epochs=2, seeds=1, device="cpu")
    events = list(train(config, run_dir=tmp_path / "run", should_stop=lambda: True))
    assert isinstance(events[-1], RunFailed)
    assert events[-1].kind == "cancelled"


def test_who_can_be_made_and_from_what(colours: str) -> None:
    assert dataset_of("creatures") == "creatures"
    assert dataset_of("cifar100") == "cifar100"
    assert dataset_of(colours) == colours
    assert dataset_of("nobody") is None
    assert estimate_teacher_seconds("nobody") is None
    seconds = estimate_teacher_seconds(colours)
    assert seconds is not None
    assert 0 < seconds < 600
    for name, recipe in {**ON_DEMAND, **TEACHER_RECIPES}.items():
        assert recipe.name == name
        assert teacher_recipe(name) in (recipe, TEACHER_RECIPES.get(name))


def test_a_recipe_sees_a_small_set_more_often(colours: str) -> None:
    recipe = teacher_recipe(colours)
    assert recipe is not None
    assert (recipe.dataset, recipe.name, recipe.epochs) == (colours, colours, 60)
