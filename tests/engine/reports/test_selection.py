"""Finding runs: pure functions, against values worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from kdcore.reports.comparison import claim_counts
from kdcore.reports.selection import SORTS, STATUSES, Selection, accuracy, gain, run_seconds, select
from kdcore.store import ENDED, UNFINISHED
from tests.engine.reports.listed_runs import RUNS, result, run


def numbers(**asked: Any) -> list[int]:
    return [row.number for row in select(RUNS, Selection(**asked))]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("new", [6, 5, 4, 3, 2, 1]),
        ("old", [1, 2, 3, 4, 5, 6]),
        ("gain", [1, 3, 5, 6, 4, 2]),  # +10, +1, -5 points; the others have none and come last, newest first
        ("accuracy", [3, 1, 5, 6, 4, 2]),
        ("duration", [5, 1, 3, 2, 6, 4]),  # 40, 30, 20 s of work; the failed one lasted 5 s
        ("nonsense", [6, 5, 4, 3, 2, 1]),
    ],
)
def test_runs_are_put_in_order(sort: str, order: list[int]) -> None:
    assert numbers(sort=sort) == order
    assert select([], Selection(sort=sort)) == []


def test_every_status_of_the_store_can_be_asked_for() -> None:
    assert set(STATUSES) == {*UNFINISHED, *ENDED}
    assert set(SORTS) == {"new", "old", "gain", "accuracy", "duration"}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"dataset": "creatures"}, [2]),
        ({"dataset": "gone"}, []),
        ({"teacher": "creatures"}, [2]),
        ({"student": "mlp-64"}, [3]),
        ({"status": "queued"}, [4]),
        ({"tag": "class 7B"}, [1]),
        ({"tag": "class"}, []),
        ({"tag": "ärger"}, [3]),
        ({"text": "  7B digits "}, [1]),
        ({"text": "ÄRGER mlp"}, [3]),
        ({"text": "run5"}, [5]),
        ({"text": "failed"}, [2]),
        ({"text": "<b> digits"}, []),
        ({"dataset": "digits", "status": "finished", "sort": "old"}, [1, 3, 5, 6]),
    ],
)
def test_runs_are_found(asked: dict[str, Any], found: list[int]) -> None:
    assert numbers(**asked) == found
    assert Selection(**asked).has_conditions and not Selection(text="  ", sort="gain").has_conditions


def test_a_sweep_has_no_one_gain() -> None:
    """A sweep has a gain at each of its points, so it is sorted with the runs that have none."""
    found = result(0.95, 0.50)
    found["sweep"] = {"varied": ["temperature"], "rows": [{"claim": one} for one in ("none", "distilled", "none")]}
    sweep = run(7, found, vary={"temperature": [1.0, 4.0, 8.0]})
    assert gain(sweep) is None and accuracy(sweep) is None and run_seconds(sweep) == 10.0
    for sort in ("gain", "accuracy"):
        assert select([sweep, *RUNS[:3]], Selection(sort=sort))[2:] == [sweep, RUNS[1]]
    assert claim_counts(sweep.result) == {"distilled": 1, "baseline": 0, "none": 2}
    assert claim_counts(RUNS[0].result) == claim_counts(None) == {}


def test_figures_of_a_run_without_them_are_none() -> None:
    assert gain(run(1)) is None and run_seconds(run(1)) is None
    assert gain(run(1, {"paired_difference": None})) is None and gain(run(1, {})) is None
    assert run_seconds(run(1, times=(10.0, 4.0))) == 0.0  # the clock was set back
