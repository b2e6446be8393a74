"""Finding and comparing runs: pure functions, against values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kdcore.events import EpochEnded
from kdcore.reports.comparison import claim_counts, compare, difference_of
from kdcore.reports.curves import seed_interval, validation_curves
from kdcore.reports.selection import SORTS, STATUSES, Selection, accuracy, gain, run_seconds, select
from kdcore.settings.describe import differing_settings, own_point
from kdcore.store import ENDED, UNFINISHED, RunRow

RECIPE = {"batch_size": 50, "learning_rate": 0.03, "weight_decay": 0.1, "label_smoothing": 0.0}
CONFIG = {
    "dataset": "digits", "labels": 200, "teacher": "digits", "student": "mlp-16", "method": "kd", "temperature": 4.0,
    "distill_weight": 0.9, "epochs": 60, "seeds": [0, 1, 2], "device": "cpu", "recipe": RECIPE,
}  # fmt: skip


def run(
    number: int,
    result: dict[str, Any] | None = None,
    status: str = "finished",
    tags: tuple[str, ...] = (),
    times: tuple[float | None, float | None] = (None, None),
    **settings: Any,
) -> RunRow:
    return RunRow(
        number=number, id=f"run{number}", visitor="v", kind="run", status=status, config={**CONFIG, **settings},
        result=result, error=None, created=float(number), started=times[0], finished=times[1], heartbeat=None,
        host=None, worker_pid=None, worker_started=None, attempts=1, setbacks=0, cancel_requested=False, tags=tags,
    )  # fmt: skip


def estimate(mean: float | None, half: float | None = None) -> dict[str, Any]:
    return {"mean": mean, "ci95": None if half is None or mean is None else [mean - half, mean + half], "per_seed": []}


def result(distilled: float, baseline: float, seconds: float = 10.0, half: float | None = 0.03, sha: str = "a") -> Any:
    arms = {"baseline": {"accuracy": estimate(baseline, 0.04)}, "distilled": {"accuracy": estimate(distilled, half)}}
    difference = estimate(distilled - baseline, 0.05)
    return {"arms": arms, "paired_difference": difference, "seconds": seconds, "dataset_sha256": sha}


RUNS = [
    run(1, result(0.70, 0.60, 30), tags=("Class 7b",)),
    run(2, None, "failed", times=(100.0, 105.0), dataset="creatures", teacher="creatures"),
    run(3, result(0.75, 0.74, 20), student="mlp-64", tags=("Ärger",)),
    run(4, None, "queued"),
    run(5, result(0.60, 0.65, 40), temperature=8.0),
    run(
        6,
        {
            "arms": {"distilled": {"accuracy": estimate(None)}},
            "paired_difference": estimate(None),
            "seconds": None,
            "dataset_sha256": "a",
        },
    ),
]


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


def test_the_own_point_of_a_sweep_is_read_from_what_is_there() -> None:
    vary = {"labels": [50, 200], "learning_rate": [0.01, 0.03], "target_weight": [1.0, 2.0]}
    config = {**CONFIG, "dataset": "gone", "method": "dkd", "parameters": {"target_weight": 2.0}, "vary": vary}
    assert own_point(config) == {"labels": 200, "learning_rate": 0.03, "target_weight": 2.0}
    assert own_point(CONFIG) == own_point({**CONFIG, "vary": {}}) == {}
    assert compare([run(1), run(2, **config)]).to_json()["runs"][1]["own_point"] == own_point(config)


def test_figures_of_a_run_without_them_are_none() -> None:
    assert gain(run(1)) is None and run_seconds(run(1)) is None
    assert gain(run(1, {"paired_difference": None})) is None and gain(run(1, {})) is None
    assert run_seconds(run(1, times=(10.0, 4.0))) == 0.0  # the clock was set back


# --- comparison


def test_only_settings_that_differ_are_listed() -> None:
    configs = [CONFIG, {**CONFIG, "temperature": 8.0, "seeds": [3, 4, 5]}, {**CONFIG, "recipe": {**RECIPE, "x": 1}}]
    found = {one.name: one.values for one in differing_settings(configs)}
    assert found == {"temperature": (4.0, 8.0, 4.0), "seeds": ([0, 1, 2], [3, 4, 5], [0, 1, 2]), "x": (None, None, 1)}
    assert differing_settings([CONFIG, dict(CONFIG)]) == ()
    assert [one.name for one in differing_settings([CONFIG, {}])][:2] == ["dataset", "labels"]


def test_a_difference_joins_both_intervals() -> None:
    step = difference_of(
        {"mean": 0.60, "ci95": [0.57, 0.64]},  # 3 below, 4 above
        {"mean": 0.70, "ci95": [0.66, 0.73]},  # 4 below, 3 above
    )
    assert step.mean == pytest.approx(0.10) and step.ci95 is not None
    assert step.ci95[0] == pytest.approx(0.10 - math.sqrt(0.04**2 + 0.04**2))
    assert step.ci95[1] == pytest.approx(0.10 + math.sqrt(0.03**2 + 0.03**2))
    assert difference_of({"mean": 0.6, "ci95": None}, {"mean": 0.7, "ci95": [0.6, 0.8]}).ci95 is None  # one seed


def test_runs_are_compared_with_the_first() -> None:
    found = compare([run(1, result(0.70, 0.60)), run(2, result(0.73, 0.61)), run(3, None, "failed"), RUNS[5]])
    assert found.arms == ("baseline", "distilled") and not found.settings
    first, second, failed, empty = found.differences["distilled"]
    assert (first.mean, first.ci95, failed.mean, empty.mean) == (0.0, None, None, None)
    assert second.mean == pytest.approx(0.03)
    assert second.ci95 == pytest.approx((0.03 - 0.03 * math.sqrt(2), 0.03 + 0.03 * math.sqrt(2)))
    data = found.to_json()
    assert [one["run_id"] for one in data["runs"]] == ["run1", "run2", "run3", "run6"]
    assert data["results"][2] is None and data["results"][0]["arms"]["distilled"]["accuracy"]["mean"] == 0.70


def test_accuracies_on_other_pictures_are_not_subtracted() -> None:
    found = compare([run(1, result(0.7, 0.6)), run(2, result(0.7, 0.6, sha="b"))])
    assert not found.same_pictures
    assert all(step.mean is None for steps in found.differences.values() for step in steps)


def test_without_any_result_there_are_still_the_settings() -> None:
    found = compare([run(1, None, "failed"), run(2, None, "queued", temperature=1.0)])
    assert [one.name for one in found.settings] == ["temperature"] and found.arms == () and found.differences == {}


# --- curves


def ended(epoch: int, **accuracies: list[float | None]) -> EpochEnded:
    return EpochEnded(epoch, 9, 0.1, {arm: {"validation_accuracy": values} for arm, values in accuracies.items()})  # type: ignore[dict-item]


def test_a_band_is_students_t_over_the_seeds() -> None:
    # 0.5, 0.6, 0.7: mean 0.6, s = 0.1, t(2) = 4.303
    low, high = seed_interval([0.5, 0.6, 0.7]) or (0, 0)
    assert (low, high) == pytest.approx(
        (0.6 - 4.3027 * 0.1 / math.sqrt(3), 0.6 + 4.3027 * 0.1 / math.sqrt(3)), abs=1e-4
    )
    assert seed_interval([0.5]) is None and seed_interval([]) is None


def test_curves_leave_out_what_is_no_number() -> None:
    events = [ended(1, baseline=[None, None]), ended(2, baseline=[0.5, 0.7]), ended(3, baseline=[None, 0.8])]
    # Epoch 3 is reported twice: the later event counts.
    curve = validation_curves([*events, ended(3, baseline=[0.6, 0.8])])["baseline"]
    assert curve.epochs == (2, 3) and curve.mean == pytest.approx((0.6, 0.7)) and curve.low is not None
    alone = validation_curves(events)["baseline"]
    assert alone.mean == pytest.approx((0.6, 0.8)) and (alone.low, alone.high) == (None, None)
    assert validation_curves([]) == {}
