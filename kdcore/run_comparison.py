"""Comparison of several runs: the settings in which they differ, and their results. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdcore.rows import RunRow

CLAIMS = ("distilled", "baseline", "none")


@dataclass(frozen=True)
class Setting:
    """A setting that differs between runs. `values` has one value per run, None for a run without this setting."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Step:
    """A difference of two accuracies (-1 to 1) with its 95 % interval; None where it is unknown."""

    mean: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class Comparison:
    """What differs between several runs. A sweep is represented by its own point (see `own_point`).

    Attributes:
        rows: the runs, in the order in which they were given.
        settings: the settings that differ, in the order in which a configuration lists them.
        arms: every arm that at least one run has.
        steps: arm -> one `Step` per run, its accuracy minus the first run's; unknown if the test pictures differ.
        same_pictures: whether all results were measured on the same test pictures.
    """

    rows: tuple[RunRow, ...]
    settings: tuple[Setting, ...]
    arms: tuple[str, ...]
    steps: Mapping[str, tuple[Step, ...]]
    same_pictures: bool

    def to_json(self) -> dict[str, Any]:
        """Return the comparison ready for JSON, with each run's main figures but without those per class."""
        figures = ("arms", "paired_difference", "verdict", "seconds", "bayes_accuracy")
        results = [
            None if row.result is None else {name: row.result[name] for name in figures if name in row.result}
            for row in self.rows
        ]
        return {
            "runs": [
                {"run_id": row.id, "status": row.status, "tags": list(row.tags), "own_point": own_point(row.config)}
                for row in self.rows
            ],
            "settings": [{"name": one.name, "values": list(one.values)} for one in self.settings],
            "results": [result and {**result, "arms": _short(result["arms"])} for result in results],
            "against_first": {arm: [asdict(step) for step in steps] for arm, steps in self.steps.items()},
            "same_test_pictures": self.same_pictures,
        }


def compare(rows: Sequence[RunRow]) -> Comparison:
    """Compare the settings and results of these runs; accuracies are compared with those of the first run."""
    results = [row.result for row in rows if row.result]
    arms = tuple(dict.fromkeys(arm for result in results for arm in result.get("arms", {})))
    hashes = {result.get("dataset_sha256") for result in results}
    same = len(hashes) <= 1
    steps = {arm: tuple(_step(_accuracy(rows[0], arm), _accuracy(row, arm), same) for row in rows) for arm in arms}
    return Comparison(tuple(rows), differing_settings([row.config for row in rows]), arms, steps, same)


def differing_settings(configs: Sequence[Mapping[str, Any]]) -> tuple[Setting, ...]:
    """Return the settings whose values are not the same in all of these configurations, as listed by `settings_of`.

    Seeds are compared as a list, so that 0, 1, 2 and 3, 4, 5 differ.
    """
    flat = [settings_of(config) for config in configs]
    names = dict.fromkeys(name for config in flat for name in config)
    settings = (Setting(name, tuple(config.get(name) for config in flat)) for name in names)
    return tuple(one for one in settings if any(value != one.values[0] for value in one.values))


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with the fields of its recipe moved to the top level."""
    flat = {name: value for name, value in config.items() if name != "recipe"}
    recipe = config.get("recipe")
    return {**flat, **(recipe if isinstance(recipe, Mapping) else {})}


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a configuration in one flat mapping.

    Fields of the recipe and parameters of the method are at the top level, and a varied setting holds the list of its
    values. Empty controls and empty parameters are left out, so that they equal those of old runs, which lack the keys.
    """
    flat = flatten(config)
    own, vary = flat.pop("parameters", None) or {}, flat.pop("vary", None) or {}
    if not flat.get("controls"):
        flat.pop("controls", None)
    return {**flat, **{name: value for name, value in own.items() if value != ""}, **vary}


def own_point(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the varied settings of a sweep with their values at its own point; empty for a plain run.

    The own point is the one whose arms, verdict and paired difference the sweep's result holds. The values are not
    validated, because the dataset or teacher of an old sweep may be gone from this machine.
    """
    flat = flatten(config)
    own = {**(config.get("parameters") or {}), **flat}
    return {name: own.get(name) for name in config.get("vary") or ()}


def claims(result: Mapping[str, Any] | None) -> dict[str, int]:
    """Count the points of a sweep by the claim of their verdict; empty for a plain run or without a result."""
    rows = ((result or {}).get("sweep") or {}).get("rows") or ()
    return {claim: sum(row["claim"] == claim for row in rows) for claim in CLAIMS} if rows else {}


def difference_of(one: Mapping[str, Any], other: Mapping[str, Any]) -> Step:
    """Return `other` minus `one` for two estimates of separate runs, given as a result holds them (`mean`, `ci95`).

    The interval combines theirs by the MOVER method (Zou and Donner 2008) as if the runs were independent. Runs that
    share test pictures and seeds vary together, so the interval is then wider than necessary: it never claims too much.
    """
    mean = other["mean"] - one["mean"]
    if not one.get("ci95") or not other.get("ci95"):
        return Step(mean, None)
    (low_one, high_one), (low_other, high_other) = one["ci95"], other["ci95"]
    below = math.hypot(other["mean"] - low_other, high_one - one["mean"])
    above = math.hypot(high_other - other["mean"], one["mean"] - low_one)
    return Step(mean, (mean - below, mean + above))


def minus_distilled(arms: Mapping[str, Any], control: str) -> Step:
    """Return a control's accuracy minus that of the distilled arm, from the arms of one result.

    The difference was taken seed by seed on the same pictures. Old results lack it; for them it is computed from the
    two accuracies as if these were independent.
    """
    paired = arms[control].get("minus_distilled")
    if paired is None:
        return difference_of(arms["distilled"]["accuracy"], arms[control]["accuracy"])
    return Step(paired["mean"], tuple(paired["ci95"]) if paired["ci95"] else None)


def pairs_controls(arms: Mapping[str, Any]) -> bool:
    """Return whether a result's controls were compared with the distilled arm seed by seed; old results were not."""
    return any("minus_distilled" in row for row in arms.values())


def _step(first: Mapping[str, Any] | None, this: Mapping[str, Any] | None, same_pictures: bool) -> Step:
    if first is None or this is None or not same_pictures:
        return Step(None, None)
    return Step(0.0, None) if first is this else difference_of(first, this)


def _accuracy(row: RunRow, arm: str) -> Mapping[str, Any] | None:
    found = ((row.result or {}).get("arms") or {}).get(arm) or {}
    value = found.get("accuracy")
    return value if isinstance(value, Mapping) and value.get("mean") is not None else None


def _short(arms: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arms without the figures that have one value per class, which are long."""
    left_out = ("confusion", "per_class")
    return {arm: {name: value for name, value in row.items() if name not in left_out} for arm, row in arms.items()}
