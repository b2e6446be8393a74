"""The table of a sweep: the results of every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kdcore.metrics import scores
from kdcore.metrics.verdict import judge
from kdcore.settings.sweeps import Point

Values = tuple[tuple[str, Any], ...]  # (setting, value) pairs of a point
Row = dict[str, Any]


def sweep_rows(group: Sequence[Point], logits: Mapping[str, Tensor], hard_labels: Tensor) -> dict[Values, Row]:
    """Return a row of the table for each point of `group`, by the point's values: the figures of both arms, their
    paired difference and the claim that follows from it.

    Args:
        group: points that were trained together.
        logits: the logits of every arm of these points on the test split, [S, N, K], by the arm's name.
        hard_labels: the hard labels of the test pictures, [N].
    """
    baseline = logits[group[0].arm("baseline")]  # points that are trained together share it
    baseline_figures = label_figures(baseline, hard_labels)
    rows = {}
    for point in group:
        distilled = logits[point.arm("distilled")]
        difference = scores.paired_difference(distilled, baseline, hard_labels)
        rows[point.values] = {
            "values": dict(point.values),
            "arms": {"baseline": baseline_figures, "distilled": label_figures(distilled, hard_labels)},
            "paired_difference": difference.to_json(),
            "claim": judge(difference).claim,
        }
    return rows


def sweep_table(sweep_points: Sequence[Point], rows: Mapping[Values, Row]) -> dict[str, Any]:
    """Return the names of the varied settings, and the row of every point in the order of the sweep."""
    names = [name for name, _ in sweep_points[0].values]
    return {"varied": names, "rows": [rows[point.values] for point in sweep_points]}


def label_figures(logits: Tensor, hard_labels: Tensor) -> dict[str, Any]:
    """Return the figures of an arm over its S seeds that compare its logits [S, N, K] with the hard labels [N]."""
    return {
        "accuracy": scores.accuracy(logits, hard_labels).to_json(),
        "nll": scores.nll(logits, hard_labels).to_json(),
        "ece": scores.ece(logits, hard_labels).to_json(),
    }
