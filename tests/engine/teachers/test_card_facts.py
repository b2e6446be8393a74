"""Figures are read from any card without an error, and are printed."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdcore.cli.main import main
from kdcore.errors import ModelFileError
from kdcore.teachers import card_facts
from kdcore.teachers.card import ModelCard, damaged_cards, list_cards
from kdcore.teachers.card_facts import Figure
from tests.engine.teachers.bundled_models import BUNDLED, card


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for models that were trained or fetched on this machine."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.mark.parametrize(
    ("value", "figure"),
    [
        (0.5, Figure(0.5)),
        ({"mean": 0.5, "ci95": [0.4, 0.6], "per_seed": [0.5]}, Figure(0.5, (0.4, 0.6), (0.5,))),
        ({"mean": 0.5, "ci95": None}, Figure(0.5)),
        ({"mean": 1, "ci95": [0.4], "per_seed": "no"}, Figure(1.0)),
        ({"mean": None}, None), (None, None), ("0.5", None), (True, None), (math.nan, None), ([0.5], None),
    ],
)  # fmt: skip
def test_a_figure_is_read_in_any_shape_and_nonsense_is_none(value: object, figure: Figure | None) -> None:
    assert card_facts.figure(card(figures={"ece": value}), "ece") == figure


def test_an_accuracy_that_was_published_is_not_one_that_was_measured() -> None:
    assert card_facts.figure(card(figures={}, accuracy=0.7), "accuracy") == Figure(0.7)
    assert card_facts.figure(card(figures={}, accuracy=None), "accuracy") is None
    published = card(figures={"published_accuracy": {"mean": 0.76}}, accuracy=0.76)
    assert card_facts.figure(published, "accuracy") is None


@pytest.mark.parametrize("key", ["accuracy", "mean"])
def test_superclasses_are_read_in_the_old_shape_and_the_new(key: str) -> None:
    rows = {"wolf": {key: 0.5, "n": 4, "ci95": [0.2, 0.8]}, "dog": {key: 0.9, "n": 10}, "odd": {"n": 3}, "odder": 7}
    found = card_facts.by_superclass(card(figures={"by_superclass": rows}))
    assert [(one.name, one.accuracy, one.n, one.ci95) for one in found] == [
        ("dog", 0.9, 10, None), ("wolf", 0.5, 4, (0.2, 0.8)),
    ]  # fmt: skip


def test_what_is_taken_for_none_and_what_is_seen_on_average() -> None:
    figures = {
        "none_of_these": {
            "false_alarms": {"mean": 0.05, "ci95": [0.04, 0.06]},
            "found": {"cars": {"mean": 0.8}, "digits": 0.99, "odd": None},
            "false_alarms_elsewhere": {"birds": {"mean": 0.2}},
        },
        "superclass_soft_labels": {"wolf": {"n": 11, "mean": {"dog": 0.3, "wolf": 0.6, "cat": 0.1}}, "odd": 3},
    }
    found = card_facts.none_of_these(card(figures=figures))
    assert found == card_facts.NoneOfThese(
        Figure(0.05, (0.04, 0.06)), (("digits", 0.99), ("cars", 0.8)), (("birds", 0.2),)
    )
    seen = card_facts.mean_soft_labels(card(figures=figures))
    assert seen == {"wolf": card_facts.MeanSoftLabel("wolf", (("wolf", 0.6), ("dog", 0.3), ("cat", 0.1)), 11)}
    assert card_facts.none_of_these(card(figures={})) is None
    assert card_facts.mean_soft_labels(card(figures={})) == {}


def test_the_gain_of_a_student_is_the_one_on_its_card_else_seed_by_seed() -> None:
    distilled, baseline = card("creatures-distilled"), card("creatures-baseline")
    told = distilled.figures.get("paired_difference")
    without = {name: value for name, value in distilled.figures.items() if name != "paired_difference"}
    seeds = [np.array(one.figures["accuracy"]["per_seed"]) for one in (distilled, baseline)]
    found = card_facts.gain(replace(distilled, figures=without), [baseline])
    assert found is not None and found.ci95 is None
    assert found.per_seed == pytest.approx(tuple(seeds[0] - seeds[1]))
    assert found.mean == pytest.approx(distilled.accuracy - baseline.accuracy)
    if told is not None:
        assert card_facts.gain(distilled, []) == card_facts.as_figure(told)
        assert told["mean"] == pytest.approx(found.mean)
    other = replace(baseline, command="kdcore run --dataset creatures")
    assert card_facts.gain(replace(distilled, figures=without), [other]) is None
    assert card_facts.gain(baseline, [baseline]) is None


def test_a_damaged_card_is_named_and_left_out(models: Path) -> None:
    whole = json.loads((BUNDLED / "digits.json").read_text())
    bad = {"size": {"num_params": "many"}, "shape": {"image_shape": [8, 8]}, "names": {"superclasses": ["0"]}}
    for name, change in bad.items():
        (models / f"{name}.json").write_text(json.dumps({**whole, "name": name, **change}))
        with pytest.raises(ModelFileError, match=name):
            ModelCard.read(models / f"{name}.json")
    (models / "half.json").write_text('{"name": "half"')
    (models / "fine.json").write_text(json.dumps({**whole, "name": "fine", "accuracy": None}))
    names = [one.name for one in list_cards()]
    assert "fine" in names and not {"half", *bad} & set(names)
    assert damaged_cards() == ("half.json", "names.json", "shape.json", "size.json")


def printed(capfd: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    capfd.readouterr()
    assert main(list(arguments)) == status
    out, err = capfd.readouterr()
    assert bool(err) is (status != 0)
    return out or err


def test_all_cards_are_listed_teachers_and_students(capfd: pytest.CaptureFixture[str], models: Path) -> None:
    (models / "half.json").write_text("{")
    data = json.loads(printed(capfd, "teachers", "--json"))
    assert set(data) == {"teachers", "students"}
    assert {one["role"] for one in data["teachers"]} == {"teacher"}
    assert {one["role"] for one in data["students"]} == {"baseline", "distilled"}
    every = [*data["teachers"], *data["students"]]
    assert sorted(one["name"] for one in every) == [one.name for one in list_cards()]
    for one in every:
        assert json.loads((BUNDLED / f"{one['name']}.json").read_text()).items() <= one.items()
    text = printed(capfd, "teachers")
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert f"{100 * card('digits').accuracy:.1f} %" in lines["digits"]  # type: ignore[operator]
    assert "creatures-distilled" in lines and "half.json is damaged" in text


@pytest.mark.parametrize("name", sorted(path.stem for path in BUNDLED.glob("*.json")))
def test_one_card_in_words(capfd: pytest.CaptureFixture[str], models: Path, name: str) -> None:
    whole = card(name)
    text = printed(capfd, "teachers", "show", name)
    for words in (whole.command, whole.sha256, whole.model, whole.dataset, f"{100 * (whole.accuracy or 0):.1f} %"):
        assert words in text
    assert "None" not in text and "{" not in text
    assert json.loads(printed(capfd, "teachers", "show", name, "--json")) == json.loads(json.dumps(whole.to_json()))


def test_a_card_without_figures_and_one_that_is_not_there(capfd: pytest.CaptureFixture[str], models: Path) -> None:
    bare = {"name": "bare", "figures": {}, "accuracy": None, "recipe": {}, "seeds": [], "notes": ""}
    (models / "bare.json").write_text(json.dumps({**card("digits").to_json(), **bare}))
    shutil.copy(BUNDLED / "digits.safetensors", models / "bare.safetensors")
    text = printed(capfd, "teachers", "show", "bare")
    assert "accuracy" not in text and "recipe" not in text and "kdcore teachers train digits" in text
    assert "bare" in printed(capfd, "teachers")
    published = {"figures": {"published_accuracy": {"mean": 0.761}}, "accuracy": 0.761}
    (models / "bare.json").write_text(json.dumps({**card("digits").to_json(), **bare, **published}))
    assert "76.1 % (published)" in printed(capfd, "teachers", "show", "bare")
    assert 'There is no model card "nosuch"' in printed(capfd, "teachers", "show", "nosuch", status=2)
