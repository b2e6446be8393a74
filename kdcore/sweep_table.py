"""The table of a sweep: what came out at every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kdcore import metrics
from kdcore.sweeps import Point, groups


def sweep_table(every: Sequence[Point], logits: Mapping[str, Tensor], hard_labels: Tensor) -> dict[str, Any]:
    """One row a point, in the order of the sweep: the varied values, both arms' figures and their paired difference.

    Args:
        logits: of each arm of each point on test, [S, N, K], by the arm's name.
        hard_labels: of the test pictures, [N].
    """
    rows = {}
    for group in groups(every):
        baseline = logits[group[0].arm("baseline")]  # points that learn together share it
        for point in group:
            distilled = logits[point.arm("distilled")]
            difference = metrics.paired_difference(distilled, baseline, hard_labels)
            rows[point.values] = {
                "values": dict(point.values),
                "arms": {"baseline": _figures(baseline, hard_labels), "distilled": _figures(distilled, hard_labels)},
                "paired_difference": difference.to_json(),
                "claim": metrics.verdict(difference).claim,
            }
    names = [name for name, _ in every[0].values]
    return {"varied": names, "rows": [rows[point.values] for point in every]}


def _figures(logits: Tensor, hard_labels: Tensor) -> dict[str, Any]:
    return {
        "accuracy": metrics.accuracy(logits, hard_labels).to_json(),
        "nll": metrics.nll(logits, hard_labels).to_json(),
        "ece": metrics.ece(logits, hard_labels).to_json(),
    }
