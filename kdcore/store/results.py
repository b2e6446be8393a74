"""Results of runs as the store has them: each in full, and beside it the few figures that a list of runs shows."""

from __future__ import annotations

import json
from typing import Any


def read_result(text: str | None) -> dict[str, Any] | None:
    """Return the result of a run that was stored as JSON; None for a run without one."""
    result: dict[str, Any] | None = json.loads(text, object_hook=_whole_interval) if text else None
    return result


def _whole_interval(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object of a result, without its interval if an end is missing: older versions wrote [null, null] for a
    student that diverged."""
    return {**value, "ci95": None} if None in (value.get("ci95") or ()) else value


def outcome_of(result: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a result that a list of runs shows or is sorted by: the verdict, the paired difference, the
    seconds, each arm's accuracy and, for a sweep, the claim of each point. It is shaped as the result is."""
    outcome: dict[str, Any] = {
        name: result[name] for name in ("seconds", "verdict", "paired_difference") if name in result
    }
    if isinstance(result.get("arms"), dict):
        outcome["arms"] = {
            arm: {"accuracy": row["accuracy"]} if "accuracy" in row else {} for arm, row in result["arms"].items()
        }
    if isinstance(result.get("sweep"), dict):
        outcome["sweep"] = {"rows": [{"claim": row["claim"]} for row in result["sweep"]["rows"]]}
    return outcome


def without_per_class(result: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a result without its per-class figures, which are most of its size."""
    if result is None or not isinstance(result.get("arms"), dict):
        return result
    left_out = ("confusion", "per_class")
    arms = {arm: {name: row[name] for name in row if name not in left_out} for arm, row in result["arms"].items()}
    return {**result, "arms": arms}
