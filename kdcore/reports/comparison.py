"""Comparison of several runs: the settings in which they differ, and their results. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kdcore.settings.describe import Setting, differing_settings, own_point

if TYPE_CHECKING:
    from kdcore.store.rows import RunRow

CLAIMS = ("distilled", "baseline", "none")


@dataclass(frozen=True)
class AccuracyDifference:
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
        differences: arm -> one `AccuracyDifference` per run, its accuracy minus the first run's; unknown if the
            test pictures differ.
        same_pictures: whether all results were measured on the same test pictures.
    """

    rows: tuple[RunRow, ...]
    settings: tuple[Setting, ...]
    arms: tuple[str, ...]
    differences: Mapping[str, tuple[AccuracyDifference, ...]]
    same_pictures: bool

    def to_json(self) -> dict[str, Any]:
        """Return the comparison ready for JSON, with each run's main figures but without those per class."""
        from kdcore.store.results import without_per_class  # loads sqlalchemy, which `kdcore --help` does without

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
            "settings": [{"name": setting.name, "values": list(setting.values)} for setting in self.settings],
            "results": [without_per_class(result) for result in results],
            "against_first": {arm: [asdict(difference) for difference in row] for arm, row in self.differences.items()},
            "same_test_pictures": self.same_pictures,
        }


def compare(rows: Sequence[RunRow]) -> Comparison:
    """Compare the settings and results of these runs; accuracies are compared with those of the first run."""
    results = [row.result for row in rows if row.result]
    arms = tuple(dict.fromkeys(arm for result in results for arm in result.get("arms", {})))
    hashes = {result.get("dataset_sha256") for result in results}
    same = len(hashes) <= 1
    differences = {
        arm: tuple(_difference_from_first(_accuracy(rows[0], arm), _accuracy(row, arm), same) for row in rows)
        for arm in arms
    }
    return Comparison(tuple(rows), differing_settings([row.config for row in rows]), arms, differences, same)


def claim_counts(result: Mapping[str, Any] | None) -> dict[str, int]:
    """Count the points of a sweep by the claim of their verdict; empty for a plain run or without a result."""
    rows = ((result or {}).get("sweep") or {}).get("rows") or ()
    return {claim: sum(row["claim"] == claim for row in rows) for claim in CLAIMS} if rows else {}


def claims_in_words(counts: Mapping[str, int], texts: Mapping[str, str]) -> str:
    """Join the texts of the claims that hold for at least one point of a sweep; "" if there is none.

    Args:
        counts: number of points by claim, from `claim_counts`.
        texts: claim -> a text with the placeholders {k}, the points with this claim, and {n}, all points.
    """
    n = sum(counts.values())
    return "; ".join(texts[claim].format(k=k, n=n) for claim, k in counts.items() if k)


def difference_of(one: Mapping[str, Any], other: Mapping[str, Any]) -> AccuracyDifference:
    """Return `other` minus `one` for two estimates of separate runs, given as a result holds them (`mean`, `ci95`).

    The interval combines theirs by the MOVER method (Zou and Donner 2008) as if the runs were independent. Runs that
    share test pictures and seeds vary together, so the interval is then wider than necessary: it never claims too much.
    """
    if one["mean"] is None or other["mean"] is None:  # a student of the arm diverged
        return AccuracyDifference(None, None)
    mean = other["mean"] - one["mean"]
    if not one.get("ci95") or not other.get("ci95"):
        return AccuracyDifference(mean, None)
    (low_one, high_one), (low_other, high_other) = one["ci95"], other["ci95"]
    below = math.hypot(other["mean"] - low_other, high_one - one["mean"])
    above = math.hypot(high_other - other["mean"], one["mean"] - low_one)
    return AccuracyDifference(mean, (mean - below, mean + above))


def minus_distilled(arms: Mapping[str, Any], control: str) -> AccuracyDifference:
    """Return a control's accuracy minus the distilled arm's, from the arms of one result.

    The difference was taken seed by seed on the same pictures. Old results lack it; for them it is computed from the
    two accuracies as if these were independent.
    """
    paired = arms[control].get("minus_distilled")
    if paired is None:
        return difference_of(arms["distilled"]["accuracy"], arms[control]["accuracy"])
    return AccuracyDifference(paired["mean"], tuple(paired["ci95"]) if paired["ci95"] else None)


def pairs_controls(arms: Mapping[str, Any]) -> bool:
    """Return whether a result's controls were compared with the distilled arm seed by seed; old results were not."""
    return any("minus_distilled" in row for row in arms.values())


def _difference_from_first(
    first: Mapping[str, Any] | None, this: Mapping[str, Any] | None, same_pictures: bool
) -> AccuracyDifference:
    if first is None or this is None or not same_pictures:
        return AccuracyDifference(None, None)
    return AccuracyDifference(0.0, None) if first is this else difference_of(first, this)


def _accuracy(row: RunRow, arm: str) -> Mapping[str, Any] | None:
    found = ((row.result or {}).get("arms") or {}).get(arm) or {}
    value = found.get("accuracy")
    return value if isinstance(value, Mapping) and value.get("mean") is not None else None
