"""The view-models of model cards: their order, sentences and bars, also where a card lacks any one figure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcore.metrics.reliability import ReliabilityBin
from kdcore.metrics.scores import ClassAccuracy
from kdcore.teachers import card_facts
from kdcore.teachers.card import ModelCard
from kdcore.teachers.card_facts import Figure, SuperclassAccuracy
from kdcore.teachers.mistakes import ClassConfusion, Mistake, MistakeSummary
from pages.ui.model_cards import views
from pages.ui.model_cards import words as model_card_words

BUNDLED = Path(__file__).parents[3] / "assets" / "models"
CARDS = [ModelCard.read(path) for path in sorted(BUNDLED.glob("*.json"))]
NAMES = ("wolf", "dog", "<b>cat</b>")


def card(bundled: str = "creatures", /, **changes: Any) -> ModelCard:
    return replace(ModelCard.read(BUNDLED / f"{bundled}.json"), **changes)


def reading(wrong: int = 3) -> MistakeSummary:
    """Return the mistakes on 10 pictures; the true posterior agrees with the network in the first mistake only."""
    mistakes = [
        Mistake(4, torch.zeros(3, 8, 8, dtype=torch.uint8), 0, 2, (0.1, 0.2, 0.7), (0.1, 0.2, 0.7)),
        Mistake(7, torch.zeros(3, 8, 8, dtype=torch.uint8), 1, 0, (0.5, 0.4, 0.1), (0.3, 0.6, 0.1)),
    ]
    classes = (ClassAccuracy(0.5, 4, (0.2, 0.8)), ClassAccuracy(0.9, 4, (0.5, 1.0)), ClassAccuracy(0.0, 0, (0.0, 1.0)))
    bins = (ReliabilityBin(6, 0.9, 0.5, (0.2, 0.8)), ReliabilityBin(4, 0.4, 0.75, (0.3, 0.95)))
    return MistakeSummary(
        NAMES, 10, wrong, tuple(mistakes[:wrong]), (ClassConfusion(0, 2, 2), ClassConfusion(1, 0, 1)), classes, bins
    )


def test_cards_stand_dataset_by_dataset_teachers_before_students_and_pairs_together() -> None:
    names = ("creatures", "creatures-distilled", "digits", "cifar10", "resnet50")
    cards = [
        card(name="resnet50", dataset="imagenet"),
        card(name="cifar10-tiny-baseline", dataset="cifar10", role="baseline"),
        card(name="cifar10-small-baseline", dataset="cifar10", role="baseline"),
        card(name="cifar10-tiny-distilled", dataset="cifar10", role="distilled"),
        card(name="cifar10-small-distilled", dataset="cifar10", role="distilled"),
        card(name="mine", dataset="leaves", role="unheard of"),
        *(card(name) for name in ("digits", "creatures-distilled", "cifar10", "creatures")),
    ]
    found = [one.name for one in views.in_order(cards)]
    assert [name for name in found if name in names] == list(names)
    start = found.index("cifar10")
    assert found[start + 1 : start + 5] == [
        "cifar10-small-distilled", "cifar10-small-baseline", "cifar10-tiny-distilled", "cifar10-tiny-baseline",
    ]  # fmt: skip
    assert found[-1] == "mine"


def test_the_address_of_a_card() -> None:
    assert views.card_url("my net+") == "models?model=my+net%2B"


def test_the_large_numbers_are_those_of_the_card() -> None:
    figures = {
        "accuracy": {"mean": 0.727, "ci95": [0.715, 0.739]},
        "superclass_accuracy": {"mean": 0.845, "ci95": None},
        "ece": {"mean": 0.0012, "ci95": [0.0, 0.012]},
        "nll": 0.7452,
    }
    found = views.readouts(card(figures=figures), Figure(0.102, (0.08, 0.121)))
    assert [(one.value, one.detail) for one in found] == [
        ("72.7 %", "71.5 to 73.9 %"), ("+10.2", "+8.0 to +12.1"), ("84.5 %", ""), ("0.1 %", "0.0 to 1.2 %"),
        ("0.75", ""),
    ]  # fmt: skip
    published = views.readouts(card(figures={"published_accuracy": {"mean": 0.7613}}, accuracy=0.7613), None)
    assert [(one.value, one.name) for one in published] == [("76.1 %", "accuracy, as published")]
    assert views.readouts(card(figures={}, accuracy=None), None) == []


def test_facts_hold_the_whole_hash_behind_a_short_one_and_escape_what_others_wrote() -> None:
    html = views.facts_html(card(model="<script>", sha256="ab" * 32))
    assert "&lt;script&gt;" in html and "<script>" not in html
    assert f"<code>{'ab' * 32}</code>" in html and f"<code>{'ab' * 6}…</code>" in html


def test_bars_have_the_length_of_their_share_and_the_line_of_their_interval() -> None:
    shares = [SuperclassAccuracy("wolf <b>", 0.727, 11, (0.434, 0.903)), SuperclassAccuracy("large", 0.5, 0, None)]
    html = views.shares_html(shares, "teacher", "by superclass")
    assert re.findall(r"<i style=\"width:([\d.]+)%", html) == ["72.70", "50.00"]
    assert re.findall(r"<em style=\"left:([\d.]+)%;width:([\d.]+)%", html) == [("43.40", "46.90")]
    assert "wolf &lt;b&gt;" in html and "n\u00a0=\u00a011" in html and html.count("n\u00a0=") == 1
    assert "43.4 to 90.3\u00a0%" in html


def test_what_is_seen_on_average_sums_to_one_with_the_rest_in_one_row() -> None:
    shares = tuple((f"kind {i}", (9 - i) / 45) for i in range(9))
    html = views.mean_soft_label_html(card_facts.MeanSoftLabel("wolf", (*shares, ("last", 0.0)), 5), "teacher")
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", html)]
    assert len(widths) == views.MAX_SUPERCLASSES + 1
    assert sum(widths) == pytest.approx(100, abs=0.1)
    assert "2 others" in html


def test_a_mistake_shows_what_it_is_what_was_said_and_what_the_traits_say() -> None:
    html = views.mistakes_html(reading(), "distilled")
    first, second = html.split("<figure")[1:]
    assert "really a wolf" in first and "taken for &lt;b&gt;cat&lt;/b&gt;" in first
    assert "By its traits: &lt;b&gt;cat&lt;/b&gt; 70.0\u00a0%" in first
    assert "By its traits: dog 60.0\u00a0%" in second
    assert re.findall(r"width:([\d.]+)%", first) == ["10.00", "20.00", "70.00"]
    assert "data:image/png" in first and "<b>cat" not in html.replace("<b>&lt;b&gt;cat", "")


def test_a_reading_in_words() -> None:
    assert model_card_words.mistakes_sentence(reading()) == (
        "3 of 10 test pictures are answered wrongly. Most often it takes wolf for <b>cat</b> (2), dog for wolf (1)."
    )
    assert model_card_words.mistakes_sentence(reading(1)) == "1 of 10 test pictures is answered wrongly."
    assert model_card_words.mistakes_sentence(reading(0)) == "All 10 test pictures are answered rightly."
    assert model_card_words.surest_sentence(reading()).startswith(
        "Here are the 2 mistakes that it was surest of. In 1 of them the true posterior"
    )
    second = replace(reading(), most_confident=reading().most_confident[1:])
    assert model_card_words.surest_sentence(second).startswith("Here is the mistake. In none of them does")
    plain = replace(reading(), most_confident=tuple(replace(one, posterior=None) for one in reading().most_confident))
    assert model_card_words.surest_sentence(plain) == "Here are the 2 mistakes that it was surest of."
    assert model_card_words.reliability_caption(reading()).startswith(
        "On average it is 70.0 % sure, and right in 60.0 %."
    )
    shares = views.by_class(reading())
    assert [one.name for one in shares] == ["dog", "wolf"]  # no test picture, no row
    assert model_card_words.weakest(shares) == "Least often right: wolf 50.0 % (n\u00a0=\u00a04)."
    assert model_card_words.weakest(shares[:1]) == ""


def test_calibration_in_words_says_which_way_it_was_off() -> None:
    assert "too sure of itself: its logits are multiplied by 0.885" in model_card_words.calibration(
        card(calibration=0.88475)
    )
    assert "too modest: its logits are multiplied by 1.2" in model_card_words.calibration(card(calibration=1.2))
    assert "no factor was fitted" in model_card_words.calibration(card(calibration=1.0))


def test_a_teachers_recipe_in_words_names_what_it_has_and_nothing_else() -> None:
    recipe = {
        "epochs": 48, "batch_size": 256, "learning_rate": 0.3, "weight_decay": 5e-4, "drawn": 0, "balance": 0.5,
        "small_epochs": 30, "small_size": 48,
        "views": {"flip": True, "zoom": 0.6, "shift": 0.06, "light": 0.0, "cutout": 0.25, "turn": 12, "colour": 0.4},
        "outsiders": {"dataset": "cifar10", "outside": ["automobile", "truck"], "inside": ["dog"]},
    }  # fmt: skip
    said = model_card_words.recipe(card(recipe=recipe, crop=0.875))
    for words in (
        "48 epochs, in batches of 256", "rises to 0.3",
        "weight decay 0.0005", "mirrored or not", "cut to no less than 60 %",
        "turned by up to 12°", "moved by up to 6 %", "a square of 25 %", "colourful by up to 40 %", "first 30 epochs",
        "Small classes", "automobile, truck of cifar10", "No label smoothing", "middle 87.5 %",
    ):  # fmt: skip
        assert words in said
    assert "lighter" not in said and "drawn for it" not in said and "stretched" not in said


def test_a_students_recipe_in_words() -> None:
    said = model_card_words.recipe(card("creatures-distilled"))
    assert "Each of 5 students saw 100 labelled pictures for 30 epochs, in batches of 20" in said
    assert "The soft labels of creatures at T\u00a0=\u00a04 count for 90 %, the hard label for 10 %." in said
    assert "Only the hard labels count" in model_card_words.recipe(card("creatures-baseline"))


@pytest.mark.parametrize("recipe", [{}, {"epochs": 3}, {"distill_weight": 0.5}, {"views": 3, "epochs": 1}])
def test_a_recipe_of_another_form_is_left_to_its_settings(recipe: dict[str, Any]) -> None:
    assert model_card_words.recipe(card(recipe=recipe)) == ""
    html = views.settings_html({**recipe, "inner": {"rate": 0.5, "names": ["a", "b"], "none": None}})
    assert "<dt>inner: rate</dt><dd>0.5</dd>" in html and "<dd>a, b</dd>" in html and "None" not in html


def test_what_is_taken_for_none_in_words() -> None:
    figures = {"none_of_these": {"false_alarms": {"mean": 0.052}, "found": {"cars": 0.81}}}
    assert model_card_words.none_of_these(card(figures=figures)) == (
        "It can say that a picture is none of its classes. It says so wrongly of 5.2 % of its own test pictures. "
        "Of pictures of something else it notices: cars 81.0 %."
    )
    assert model_card_words.none_of_these(card(figures={})) == ""


def with_less(one: ModelCard) -> Iterator[ModelCard]:
    """Yield copies of a card: each figure once missing or of a wrong type, and finally a card without figures."""
    for name in one.figures:
        for value in (None, [], "x", {"mean": None}, {"a": {"b": 1}}):
            yield replace(one, figures={**one.figures, name: value})
    yield replace(one, figures={}, accuracy=None, seeds=(), notes="", recipe={})


@pytest.mark.parametrize("one", CARDS, ids=lambda one: one.name)
def test_no_card_breaks_however_little_it_says(one: ModelCard) -> None:
    for less in (one, *with_less(one)):
        gain = card_facts.gain(less, CARDS)
        said = [
            model_card_words.lead(less), model_card_words.figures_note(less, gain), model_card_words.calibration(less),
            model_card_words.none_of_these(less), model_card_words.recipe(less), views.row_caption(less),
            model_card_words.weakest(card_facts.by_superclass(less)), views.facts_html(less),
            views.settings_html(less.recipe), views.readouts_html(views.readouts(less, gain)),
            views.shares_html([*card_facts.by_superclass(less), *views.by_size(less)], less.role, ""),
            *(views.mean_soft_label_html(mean, less.role) for mean in card_facts.mean_soft_labels(less).values()),
        ]  # fmt: skip
        assert not [words for words in said if "None" in words or "nan" in words.split()]
        assert json.loads(views.download(less)) == json.loads(json.dumps(less.to_json()))
    assert f"{100 * (one.accuracy or 0):.1f} %" in views.row_caption(one)


def test_a_new_last_layer_is_called_transfer_learning() -> None:
    recipe = {**card().recipe, "features_of": "photos"}
    words = model_card_words.recipe(card(recipe=recipe))
    assert words.startswith("Transfer learning") and "photos" in words
    assert "SGD" not in words
    assert "SGD" in model_card_words.recipe(card(recipe={**recipe, "features_of": ""}))
