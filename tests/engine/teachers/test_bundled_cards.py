"""Every bundled model card describes its file, its figures measured again with NumPy, and its command's recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kdcore.cli.parser import build_parser
from kdcore.datasets import DATASETS, Dataset, load_dataset
from kdcore.machine.tensor_files import file_sha256
from kdcore.settings.config import RunConfig
from kdcore.teachers.building import recipes
from kdcore.teachers.card import ModelCard
from kdcore.teachers.packaged import PACKAGED
from kdcore.teachers.teacher import load_model
from kdcore.training import bundled_students
from tests.conftest import unavailable

BUNDLED = Path(__file__).parents[3] / "assets" / "models"
ALL_CARDS = [ModelCard.read(path) for path in BUNDLED.glob("*.json")]
# Those whose weights are bundled too; sorted by dataset, so that each is loaded once and then freed. The weights of the
# others come in packages, and `building/test_photos.py` measures them.
CARDS = sorted((card for card in ALL_CARDS if card.name not in PACKAGED), key=lambda card: (card.dataset, card.name))
NAMES = {"creatures", "digits", "mnist", "cifar10", "animals", "creatures-baseline", "creatures-distilled"}
POINTS = 0.005  # half a point: another processor rounds differently, which changes the class of a few pictures
BINS = 15

every_card = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)


@lru_cache(maxsize=1)
def dataset_of(name: str) -> Dataset:
    return load_dataset(name)


@pytest.fixture(scope="module", autouse=True)
def let_go() -> Iterator[None]:
    yield
    dataset_of.cache_clear()


def test_the_bundled_models_are_there_and_small_enough_to_travel() -> None:
    assert {card.name for card in CARDS} >= NAMES
    assert {card.name for card in ALL_CARDS} == {card.name for card in CARDS} | set(PACKAGED)
    assert sum(path.stat().st_size for path in BUNDLED.glob("*.safetensors")) < 60e6
    assert {path.stem for path in BUNDLED.glob("*.safetensors")} == {card.name for card in CARDS}


@every_card
def test_every_card_describes_its_file(card: ModelCard) -> None:
    weights = BUNDLED / f"{card.name}.safetensors"
    assert file_sha256(weights) == card.sha256
    assert weights.stat().st_size == card.size_bytes
    network = load_model(weights).network
    assert sum(p.numel() for p in network.parameters()) == card.num_params
    assert card.role in ("teacher", "baseline", "distilled")


@every_card
def test_the_command_of_every_card_would_rebuild_it(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe that the card's command would train is the recipe on the card."""
    program, *words = card.command.split()
    options = build_parser().parse_args(words)
    assert (program, options.command) == ("kdcore", "teachers.train")
    if card.role == "teacher":
        assert options.name == card.name
        assert_same(card.recipe, recipes.teacher_recipe(options.name))
        return
    configs: list[Any] = []
    monkeypatch.setattr(bundled_students, "train", lambda config, **_rest: configs.append(config) or iter(()))
    list(bundled_students.build(options.name))
    (config,) = configs
    assert (
        replace(RunConfig.from_json(card.recipe), device=config.device) == config
    )  # the device does not change the training
    assert card.seeds == config.seeds


def assert_same(written: dict[str, Any], recipe: Any) -> None:
    """Compare a card's recipe with today's; a setting that is newer than the card must have its default."""
    assert set(written) <= {field.name for field in fields(recipe)}
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if field.name not in written:
            assert field.default is not MISSING and value == field.default, field.name
        elif is_dataclass(value):
            assert_same(written[field.name], value)
        else:
            assert json.loads(json.dumps(value)) == written[field.name], field.name


@every_card
def test_the_figures_of_every_card_can_be_measured_again(card: ModelCard, request: pytest.FixtureRequest) -> None:
    if not DATASETS[card.dataset].embedded:
        request.getfixturevalue("data_dir")
    dataset = dataset_of(card.dataset)
    if dataset.sha256 != card.dataset_sha256:
        unavailable(f"needs the pictures of {card.dataset} that the card was measured on")
    logits = load_model(BUNDLED / f"{card.name}.safetensors").logits(dataset.test.images)
    again = Measured(logits, dataset)
    figures = card.figures

    def on_card(name: str) -> float:
        """The card's figure for this weights file: for a student, that of its first seed."""
        figure = figures[name]
        return float(figure["per_seed"][0] if isinstance(figure, dict) else figure)

    assert card.accuracy == figures["accuracy"]["mean"]
    assert again.accuracy == pytest.approx(on_card("accuracy"), abs=POINTS)
    assert again.nll == pytest.approx(on_card("nll"), rel=0.02, abs=0.002)
    low, high = again.ece_bounds()
    assert low - POINTS <= on_card("ece") <= high + POINTS
    if figures.get("test_size"):
        assert figures["test_size"] == len(dataset.test)
    if "superclass_accuracy" in figures:
        right, above, means = again.by_superclass()
        assert right.mean() == pytest.approx(on_card("superclass_accuracy"), abs=POINTS)
        for name, row in figures["by_superclass"].items():
            here = right[above == name]
            assert row["n"] == len(here)
            share = row["accuracy"] if "accuracy" in row else row["mean"]
            assert abs(here.mean() - share) * len(here) <= max(1.5, POINTS * len(here))  # one picture may change
        for name, row in figures.get("superclass_soft_labels", {}).items():
            assert row["mean"] == pytest.approx(means[name], abs=POINTS)
    if "large_class_accuracy" in figures:
        large = again.in_large_class()
        assert again.right[large].mean() == pytest.approx(on_card("large_class_accuracy"), abs=POINTS)
        # Small classes have so few pictures that two of them may be more than half a point.
        few = 2 / (~large).sum()
        assert again.right[~large].mean() == pytest.approx(on_card("small_class_accuracy"), abs=max(POINTS, few))
    if card.none_below is not None:
        alarms = float((again.familiarity < card.none_below).mean())
        assert alarms == pytest.approx(figures["none_of_these"]["false_alarms"]["mean"], abs=POINTS)


class Measured:
    """The figures of a card, computed with NumPy from calibrated logits [N, K]."""

    def __init__(self, logits: torch.Tensor, dataset: Dataset) -> None:
        self.dataset = dataset
        self.labels = dataset.test.hard_labels.numpy()
        values = logits.double().numpy()
        top = values.max(1, keepdims=True)
        self.familiarity = top[:, 0] + np.log(np.exp(values - top).sum(1))
        self.shares = np.exp(values - self.familiarity[:, None])  # [N, K]
        self.right = values.argmax(1) == self.labels
        self.accuracy = float(self.right.mean())
        self.nll = float((self.familiarity - values[np.arange(len(values)), self.labels]).mean())

    def ece_bounds(self) -> tuple[float, float]:
        """Bounds of the debiased calibration error: it is at most the plain one, the mean of |gap|, and at least the
        plain one minus sqrt(2 / pi) times the mean standard error of the bins."""
        sure = self.shares.max(1)
        bins = np.array_split(np.argsort(sure), BINS)
        gaps = [self.right[rows] - sure[rows] for rows in bins]
        plain = sum(len(gap) * abs(gap.mean()) for gap in gaps) / len(sure)
        noise = sum(len(gap) * gap.std(ddof=1) / np.sqrt(len(gap)) for gap in gaps) / len(sure)
        return float(plain - np.sqrt(2 / np.pi) * noise), float(plain)

    def by_superclass(self) -> tuple[NDArray[np.bool_], NDArray[np.str_], dict[str, dict[str, float]]]:
        """Whether the superclass with the largest sum is the true one [N], the true superclass [N], and the mean sums
        of the pictures of each superclass."""
        member = np.array(self.dataset.superclasses)
        names = sorted(set(member))
        mass = np.stack([self.shares[:, member == name].sum(1) for name in names], 1)
        true = member[self.labels]
        means = {name: dict(zip(names, mass[true == name].mean(0).tolist(), strict=True)) for name in names}
        return np.array(names)[mass.argmax(1)] == true, true, means

    def in_large_class(self) -> NDArray[np.bool_]:
        """Whether a picture's class has more than 0.8 times the pictures of the largest class [N]."""
        counts = np.bincount(self.dataset.train.hard_labels.numpy(), minlength=len(self.dataset.class_names))
        return np.asarray(counts[self.labels] > 0.8 * counts.max())
