"""The table of a sweep: what came out at every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kdcore import metrics
from kdcore.sweeps import Point

Values = tuple[tuple[str, Any], ...]  # of a point
Row = dict[str, Any]


def rows_of_points(group: Sequence[Point], logits: Mapping[str, Tensor], hard_labels: Tensor) -> dict[Values, Row]:
    """For each of the points that learned together, by its values: both arms' figures and their paired difference.

    Args:
        logits: of each arm of each of these points on test, [S, N, K], by the arm's name.
        hard_labels: of the test pictures, [N].
    """
    baseline = logits[group[0].arm("baseline")]  # they share it
    of_baseline = _figures(baseline, hard_labels)
    rows = {}
    for point in group:
        distilled = logits[point.arm("distilled")]
        difference = metrics.paired_difference(distilled, baseline, hard_labels)
        rows[point.values] = {
            "values": dict(point.values),
            "arms": {"baseline": of_baseline, "distilled": _figures(distilled, hard_labels)},
            "paired_difference": difference.to_json(),
            "claim": metrics.verdict(difference).claim,
        }
    return rows


def sweep_table(every: Sequence[Point], rows: Mapping[Values, Row]) -> dict[str, Any]:
    """The settings that vary, and the row of every point in the order of the sweep."""
    names = [name for name, _ in every[0].values]
    return {"varied": names, "rows": [rows[point.values] for point in every]}


def _figures(logits: Tensor, hard_labels: Tensor) -> dict[str, Any]:
    return {
        "accuracy": metrics.accuracy(logits, hard_labels).to_json(),
        "nll": metrics.nll(logits, hard_labels).to_json(),
        "ece": metrics.ece(logits, hard_labels).to_json(),
    }
