"""Typed access to the figures of a model card.

Older and published cards lack some figures, and any card may hold values of the wrong type. A function here then leaves
them out or returns None, so that no card breaks a page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from kdcore.teachers.card import ModelCard


@dataclass(frozen=True)
class Figure:
    """One measured quantity: its mean, and its 95 % interval and one value per seed where the card has them."""

    mean: float
    ci95: tuple[float, float] | None = None
    per_seed: tuple[float, ...] = ()


@dataclass(frozen=True)
class SuperclassAccuracy:
    """The accuracy (0 to 1) on the n test pictures of the superclass `name`, with its Wilson 95 % interval."""

    name: str
    accuracy: float
    n: int
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class NoneOfThese:
    """How well a teacher's threshold on familiarity recognises pictures that show none of its classes.

    Attributes:
        false_alarms: share of the teacher's own test pictures that are wrongly called none of the classes.
        found: for each kind of outsiders, its name and the share that is rightly called none of the classes.
        false_alarms_elsewhere: false alarms on pictures of the teacher's kind that come from another dataset: for each
            set of such pictures, its name and the share that is wrongly called none of the classes.
    """

    false_alarms: Figure | None
    found: tuple[tuple[str, float], ...]
    false_alarms_elsewhere: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class MeanSoftLabel:
    """The mean soft label, at T = 1, of the n test pictures of one superclass.

    `shares` holds the name and the mean probability of each superclass, the largest first.
    """

    superclass: str
    shares: tuple[tuple[str, float], ...]
    n: int | None


def figure(card: ModelCard, name: str) -> Figure | None:
    """The figure called `name`; None where the card has no such figure or it cannot be read.

    "accuracy" falls back to the card's own field `accuracy`, unless that field only repeats the accuracy that the
    publisher of the network states.
    """
    found = as_figure(card.figures.get(name))
    if found is None and name == "accuracy" and "published_accuracy" not in card.figures:
        found = as_figure(card.accuracy)
    return found


def as_figure(value: object) -> Figure | None:
    """Turn a number, or a mapping with `mean`, `ci95` and `per_seed`, into a figure; None for anything else."""
    if isinstance(value, Mapping):
        mean = _number(value.get("mean"))
        seeds = value.get("per_seed")
        values = [_number(seed) for seed in seeds] if isinstance(seeds, list | tuple) else []
        per_seed = tuple(number for number in values if number is not None)
        return None if mean is None else Figure(mean, _interval(value.get("ci95")), per_seed)
    number = _number(value)
    return None if number is None else Figure(number)


def count(card: ModelCard, name: str) -> int | None:
    """The whole number called `name` among the figures, such as `test_size`; None where it is missing."""
    value = _number(card.figures.get(name))
    return None if value is None else int(value)


def by_superclass(card: ModelCard) -> tuple[SuperclassAccuracy, ...]:
    """The accuracy of each superclass, the best first; empty where the card has none."""
    rows = card.figures.get("by_superclass")
    found = []
    for name, row in rows.items() if isinstance(rows, Mapping) else ():
        if not isinstance(row, Mapping):
            continue
        accuracy = as_figure({"mean": row.get("accuracy"), **row})
        if accuracy is not None:
            size = int(_number(row.get("n")) or 0)
            found.append(SuperclassAccuracy(str(name), accuracy.mean, size, accuracy.ci95))
    return tuple(sorted(found, key=lambda row: (-row.accuracy, row.name)))


def none_of_these(card: ModelCard) -> NoneOfThese | None:
    """How well the card's threshold `none_below` works; None where the card has no such figures."""
    figures = card.figures.get("none_of_these")
    if not isinstance(figures, Mapping):
        return None
    found, elsewhere = _shares(figures.get("found")), _shares(figures.get("false_alarms_elsewhere"))
    return NoneOfThese(as_figure(figures.get("false_alarms")), found, elsewhere)


def mean_soft_labels(card: ModelCard) -> dict[str, MeanSoftLabel]:
    """The mean soft label of the test pictures of each superclass, by name; those that the card lacks are left out."""
    rows = card.figures.get("superclass_soft_labels")
    found = {}
    for name, row in rows.items() if isinstance(rows, Mapping) else ():
        shares = _shares(row.get("mean")) if isinstance(row, Mapping) else ()
        if shares:
            n = _number(row.get("n"))
            found[str(name)] = MeanSoftLabel(str(name), shares, None if n is None else int(n))
    return found


def gain(card: ModelCard, cards: Iterable[ModelCard]) -> Figure | None:
    """The accuracy of a distilled student minus its baseline's; None for other networks, or where figures are missing.

    It is the `paired_difference` of the student's card, else it is computed seed by seed from both cards. The second
    has no interval: all seeds share the test pictures, and neither card holds their sampling variance.

    Args:
        cards: the cards among which the baseline is looked up.
    """
    if card.role != "distilled":
        return None
    measured = figure(card, "paired_difference")
    if measured is not None:
        return measured
    baseline_card = baseline_of(card, cards)
    distilled = figure(card, "accuracy")
    baseline = figure(baseline_card, "accuracy") if baseline_card is not None else None
    if distilled is None or baseline is None:
        return None
    if not distilled.per_seed or len(distilled.per_seed) != len(baseline.per_seed):
        return None
    per_seed = tuple(after - before for after, before in zip(distilled.per_seed, baseline.per_seed, strict=True))
    return Figure(fmean(per_seed), None, per_seed)


def baseline_of(card: ModelCard, cards: Iterable[ModelCard]) -> ModelCard | None:
    """The baseline that was trained together with a distilled student; None if it is not among `cards`.

    It has the same dataset, model, recipe, command and seeds.
    """

    def same(other: ModelCard) -> bool:
        facts = ("dataset", "model", "recipe", "command", "seeds")
        return other.role == "baseline" and all(getattr(other, fact) == getattr(card, fact) for fact in facts)

    return next((other for other in cards if same(other)), None)


def _shares(value: object) -> tuple[tuple[str, float], ...]:
    """The (name, share) pairs of a mapping, the largest share first; values that are not numbers are left out."""
    entries = value.items() if isinstance(value, Mapping) else ()
    figures = ((str(name), as_figure(share)) for name, share in entries)
    shares = [(name, share.mean) for name, share in figures if share is not None]
    return tuple(sorted(shares, key=lambda pair: -pair[1]))


def _interval(value: object) -> tuple[float, float] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = _number(value[0]), _number(value[1])
    return None if low is None or high is None else (low, high)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None
