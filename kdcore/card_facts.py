"""What stands on a model card, read carefully: older and published cards lack figures, and none may break a page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from kdcore.model_cards import ModelCard


@dataclass(frozen=True)
class Figure:
    """One measured quantity: its mean, its 95 % interval, and each seed's value, as far as the card holds them."""

    mean: float
    ci95: tuple[float, float] | None = None
    per_seed: tuple[float, ...] = ()


@dataclass(frozen=True)
class Share:
    """Right answers among n test pictures of one kind, with the Wilson interval."""

    name: str
    accuracy: float
    n: int
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class NoneOfThese:
    """How well the threshold on familiarity tells pictures of no class: how often it is wrong, and what it finds."""

    false_alarms: Figure | None
    found: tuple[tuple[str, float], ...]
    elsewhere: tuple[tuple[str, float], ...]  # false alarms on its own kind of pictures, from another dataset


@dataclass(frozen=True)
class MeanSoftLabel:
    """The mean soft label at T = 1, by superclass and largest first, of the n test pictures of one superclass."""

    of: str
    shares: tuple[tuple[str, float], ...]
    n: int | None


def figure(card: ModelCard, name: str) -> Figure | None:
    """The figure called `name`; None where the card has none that can be read.

    The accuracy may stand beside the figures; that of a published network is what its publisher states.
    """
    found = as_figure(card.figures.get(name))
    if found is None and name == "accuracy" and "published_accuracy" not in card.figures:
        found = as_figure(card.accuracy)
    return found


def as_figure(value: object) -> Figure | None:
    """A number, or a mapping with `mean`, `ci95` and `per_seed`, as a figure; None for anything else."""
    if isinstance(value, Mapping):
        mean = _number(value.get("mean"))
        seeds = value.get("per_seed")
        values = [_number(one) for one in seeds] if isinstance(seeds, list | tuple) else []
        known = tuple(one for one in values if one is not None)
        return None if mean is None else Figure(mean, _interval(value.get("ci95")), known)
    number = _number(value)
    return None if number is None else Figure(number)


def count(card: ModelCard, name: str) -> int | None:
    """A whole number among the figures, such as `test_size`."""
    value = _number(card.figures.get(name))
    return None if value is None else int(value)


def by_superclass(card: ModelCard) -> tuple[Share, ...]:
    """Accuracy by superclass, the best first; empty where the card does not say."""
    rows = card.figures.get("by_superclass")
    found = []
    for name, row in rows.items() if isinstance(rows, Mapping) else ():
        if not isinstance(row, Mapping):
            continue
        known = as_figure({"mean": row.get("accuracy"), **row})
        if known is not None:
            found.append(Share(str(name), known.mean, int(_number(row.get("n")) or 0), known.ci95))
    return tuple(sorted(found, key=lambda share: (-share.accuracy, share.name)))


def none_of_these(card: ModelCard) -> NoneOfThese | None:
    """What is known of the card's `none_below`; None where nothing is."""
    known = card.figures.get("none_of_these")
    if not isinstance(known, Mapping):
        return None
    shares = (_shares(known.get(name)) for name in ("found", "false_alarms_elsewhere"))
    return NoneOfThese(as_figure(known.get("false_alarms")), *shares)


def mean_soft_labels(card: ModelCard) -> dict[str, MeanSoftLabel]:
    """The mean soft label of each superclass's test pictures, as far as the card says."""
    known = card.figures.get("superclass_soft_labels")
    found = {}
    for name, row in known.items() if isinstance(known, Mapping) else ():
        shares = _shares(row.get("mean")) if isinstance(row, Mapping) else ()
        if shares:
            n = _number(row.get("n"))
            found[str(name)] = MeanSoftLabel(str(name), shares, None if n is None else int(n))
    return found


def gain(card: ModelCard, cards: Iterable[ModelCard]) -> Figure | None:
    """Accuracy of a distilled student minus that of its baseline: as its card says, else seed by seed from both.

    Without the pictures no interval can be given for the second: seeds share the test pictures, whose sampling
    variance is in neither card.
    """
    if card.role != "distilled":
        return None
    told = figure(card, "paired_difference")
    if told is not None:
        return told
    baseline, own = baseline_of(card, cards), figure(card, "accuracy")
    other = figure(baseline, "accuracy") if baseline is not None else None
    if own is None or other is None or not own.per_seed or len(own.per_seed) != len(other.per_seed):
        return None
    seeds = tuple(one - two for one, two in zip(own.per_seed, other.per_seed, strict=True))
    return Figure(fmean(seeds), None, seeds)


def baseline_of(card: ModelCard, cards: Iterable[ModelCard]) -> ModelCard | None:
    """The baseline that was trained beside a distilled student: by the same recipe and the same command."""

    def same(other: ModelCard) -> bool:
        facts = ("dataset", "model", "recipe", "command", "seeds")
        return other.role == "baseline" and all(getattr(other, fact) == getattr(card, fact) for fact in facts)

    return next((other for other in cards if same(other)), None)


def _shares(value: object) -> tuple[tuple[str, float], ...]:
    """Name and share, the largest first; what is no number is left out."""
    known = value.items() if isinstance(value, Mapping) else ()
    found = [(str(name), one.mean) for name, share in known if (one := as_figure(share)) is not None]
    return tuple(sorted(found, key=lambda pair: -pair[1]))


def _interval(value: object) -> tuple[float, float] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = _number(value[0]), _number(value[1])
    return None if low is None or high is None else (low, high)


def _number(value: Any) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if plain else None
