"""The bundled networks for a photo: their figures are on the same pictures, and their answers by kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcore.teachers.card import ModelCard, list_cards
from pages.ui.compare.trio import answer_of, bundled_trios

KINDS = ("wolf", "dog", "cat")


@pytest.fixture(scope="module")
def cards() -> dict[str, ModelCard]:
    """The bundled cards, and those of a pair of students that `photos` taught by kind."""
    known = {card.name: card for card in list_cards()}
    figures = {
        "accuracy": {"mean": 0.5, "ci95": [0.4, 0.6]},
        "paired_difference": {"mean": 0.031, "ci95": [-0.004, 0.066]},
        "teacher": {"accuracy": {"mean": 0.81, "ci95": [0.77, 0.85]}, "ece": {"mean": 0.1, "ci95": [0.0, 0.2]}},
    }
    made = {}
    for arm in ("baseline", "distilled"):
        card = known[f"creatures-{arm}"]
        made[f"animal-kinds-{arm}"] = replace(
            card,
            name=f"animal-kinds-{arm}",
            dataset="animal-kinds",
            class_names=KINDS,
            superclasses=KINDS,
            figures=figures,
            recipe={**card.recipe, "dataset": "animal-kinds", "teacher": "photos"},
        )
    return known | made


def test_the_teachers_figures_are_those_on_the_students_pictures(cards: dict[str, ModelCard]) -> None:
    trio = bundled_trios(cards)["animal-kinds"]
    assert trio.is_by_kind and trio.models["teacher"] == "photos"
    assert trio.arms["teacher"]["accuracy"] == {"mean": 0.81, "ci95": [0.77, 0.85]}
    assert trio.arms["teacher"]["num_params"] == cards["photos"].num_params
    assert "+3.1 points (−0.4 to +6.6)" in trio.source


def test_the_other_bundled_networks_stay_first(cards: dict[str, ModelCard]) -> None:
    trios = bundled_trios(cards)
    assert next(iter(trios)) == "creatures" and not trios["creatures"].is_by_kind


def test_an_answer_by_kind_has_one_row_for_everything_else() -> None:
    said = {
        "class_names": ["grey wolf", "husky", "beagle", "airliner"],
        "soft_labels": [0.5, 0.2, 0.1, 0.2],
        "superclasses": {"wolf": 0.5, "dog": 0.3, "vehicle": 0.2, "cat": 0.0},
        "none_of_these": False,
        "latency_ms": 4.0,
    }
    answer = answer_of("teacher", [said], KINDS)
    assert answer.class_names == (*KINDS, "everything else")
    assert answer.soft_labels == pytest.approx((0.5, 0.3, 0.0, 0.2))
    assert answer.chosen == "wolf" and answer.none_of_these is False
